//! Content of a message on the way out: dot-stuffed lines (RFC 5321 4.5.2) that end in CRLF.
//!
//! Invariants: no bare CR and no bare LF leaves, whatever comes in; no line is longer than
//! [`MAX_LINE`]; the only CRLF.CRLF is the one that `finish` writes. Lines over the limit are
//! folded as Postfix does (`smtp_line_length_limit`), by CRLF and a space, which a DKIM signature
//! over such a line doesn't survive: no server must take the line.

use bytes::BytesMut;
use memchr::memchr2;

/// Octets of a line without CRLF and without the dot that stuffs it (RFC 5321 4.5.3.1.6).
pub const MAX_LINE: usize = 998;

/// Stuffs one message, split anywhere.
#[derive(Debug)]
pub struct Stuffer {
    /// Octets of the current line so far.
    column: usize,
    /// A CR came last, that may turn out to be bare.
    cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Stuffer {
    /// At the beginning of a message.
    pub fn new() -> Self {
        Self { column: 0, cr: false }
    }

    /// Writes content.
    pub fn write(&mut self, mut content: &[u8], output: &mut BytesMut) {
        // A dot or a fold more is rare; the CRLFs are in the content.
        output.reserve(content.len() + content.len() / 64);
        if self.cr && !content.is_empty() {
            self.cr = false;
            if content[0] != b'\n' {
                self.text(b" ", output);
            }
        }
        while !content.is_empty() {
            let length = memchr2(b'\r', b'\n', content).unwrap_or(content.len());
            self.text(&content[..length], output);
            content = match &content[length..] {
                [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => {
                    self.end_line(output);
                    rest
                }
                [b'\r'] => {
                    self.cr = true;
                    &[]
                }
                [b'\r', rest @ ..] => {
                    self.text(b" ", output);
                    rest
                }
                rest => rest,
            };
        }
    }

    /// Ends the last line where it isn't, then the data.
    pub fn finish(&mut self, output: &mut BytesMut) {
        if std::mem::take(&mut self.cr) {
            self.text(b" ", output);
        }
        if self.column > 0 {
            self.end_line(output);
        }
        output.extend_from_slice(b".\r\n");
    }

    /// Text within a line.
    fn text(&mut self, mut text: &[u8], output: &mut BytesMut) {
        if self.column == 0 && text.first() == Some(&b'.') {
            output.extend_from_slice(b".");
        }
        while self.column + text.len() > MAX_LINE {
            let (fits, rest) = text.split_at(MAX_LINE - self.column);
            output.extend_from_slice(fits);
            output.extend_from_slice(b"\r\n ");
            self.column = 1;
            text = rest;
        }
        output.extend_from_slice(text);
        self.column += text.len();
    }

    fn end_line(&mut self, output: &mut BytesMut) {
        output.extend_from_slice(b"\r\n");
        self.column = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINE, Stuffer};
    use bytes::BytesMut;

    fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
        let mut stuffer = Stuffer::new();
        let mut output = BytesMut::new();
        for piece in pieces {
            stuffer.write(piece, &mut output);
        }
        stuffer.finish(&mut output);
        output.to_vec()
    }

    #[test]
    fn dots_are_doubled_and_the_end_is_written() {
        assert_eq!(stuff(&[]), b".\r\n");
        assert_eq!(
            stuff(&[b".a\r\n.\r\nb.\r", b"\n", b"", b".c"]),
            b"..a\r\n..\r\nb.\r\n..c\r\n.\r\n"
        );
    }

    #[test]
    fn nothing_bare_leaves() {
        assert_eq!(
            stuff(&[b"a\n.\nb\rc\r", b"\r", b"d\r\r\n\r"]),
            b"a\r\n..\r\nb c  d \r\n \r\n.\r\n"
        );
    }

    #[test]
    fn long_lines_are_folded() {
        let line = vec![b'a'; 2 * MAX_LINE];
        for split in [0, 1, 997, 998, 999, 1500] {
            let written = stuff(&[&line[..split], &line[split..], b"\r\n"]);
            let lines: Vec<_> = written.split(|&byte| byte == b'\n').map(<[u8]>::len).collect();
            assert_eq!(lines, [999, 999, 3, 2, 0], "{split}");
        }
        let fits = [&line[..MAX_LINE], b"\r\n"].concat();
        assert_eq!(stuff(&[&fits]), [&fits[..], b".\r\n"].concat());
    }
}
