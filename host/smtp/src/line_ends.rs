//! Line ends made CRLF, of content that doesn't come by the wire: what a plugin writes, a file.
//!
//! The same as the server does with content that is counted rather than dotted (BDAT): a bare LF
//! ends a line, a bare CR becomes a space, the last line is ended.

use bytes::{Bytes, BytesMut};

use crate::data::{Decoder, Framing};

/// Makes line ends CRLF, chunk by chunk, split anywhere.
#[derive(Debug)]
pub struct LineEnds(Decoder);

impl Default for LineEnds {
    fn default() -> Self {
        Self(Decoder::new(Framing::Counted))
    }
}

impl LineEnds {
    /// The next chunk, mended.
    pub fn mend(&mut self, chunk: &[u8]) -> Bytes {
        let mut input = BytesMut::from(chunk);
        let mut mended = BytesMut::new();
        while !input.is_empty() {
            let available = input.len();
            let Some(bytes) = self.0.decode(&mut input, available) else { continue };
            if mended.is_empty() && input.is_empty() {
                return bytes;
            }
            mended.extend_from_slice(&bytes);
        }
        mended.freeze()
    }

    /// There are no more: what the last line lacks to be one.
    pub fn finish(&mut self) -> Bytes {
        self.0.finish().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::LineEnds;

    fn mended(chunks: &[&[u8]]) -> Vec<u8> {
        let mut lines = LineEnds::default();
        let mut all: Vec<u8> = chunks.iter().flat_map(|chunk| lines.mend(chunk)).collect();
        all.extend_from_slice(&lines.finish());
        all
    }

    #[test]
    fn every_line_ends_in_crlf() {
        assert_eq!(mended(&[b"a\r\nb\nc\rd"]), b"a\r\nb\r\nc d\r\n");
        assert_eq!(mended(&[b"a\r", b"\nb"]), b"a\r\nb\r\n");
        assert_eq!(mended(&[b"a\r", b"\r", b"\n\r"]), b"a \r\n \r\n");
        assert_eq!(mended(&[b".\n..\n"]), b".\r\n..\r\n");
        assert_eq!(mended(&[]), b"");
    }

    proptest! {
        #[test]
        fn no_bare_cr_or_lf_is_left_wherever_chunks_part(
            text in "[a\r\n.]{0,40}",
            at in 0_usize..40,
        ) {
            let (before, after) = text.as_bytes().split_at(at.min(text.len()));
            let parted = mended(&[before, after]);
            prop_assert_eq!(&parted, &mended(&[text.as_bytes()]));
            let rest = String::from_utf8(parted).unwrap().replace("\r\n", "");
            prop_assert!(!rest.contains(['\r', '\n']), "{rest:?}");
        }
    }
}
