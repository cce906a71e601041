//! Framing of command lines.
//!
//! Invariants: a line ends with LF, with or without CR before it, as in Postfix; of a line longer
//! than the limit nothing is kept. Does not consume the line it found: the command machine may look
//! at it twice.

use bytes::{Buf as _, BytesMut};

/// What the input begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line of `length` octets without its end; the next one begins at `next`.
    Whole { length: usize, next: usize },
    /// A line over the limit was skipped.
    TooLong,
}

/// Remembers that the rest of a line too long is still to be skipped.
#[derive(Default)]
pub(crate) struct LineFramer {
    skipping: bool,
}

impl LineFramer {
    /// The line that the input begins with; None: more bytes are needed.
    pub(crate) fn find(&mut self, input: &mut BytesMut, limit: usize) -> Option<Line> {
        match memchr::memchr(b'\n', input) {
            None => {
                // The CR of the line's end may already be here.
                if self.skipping || input.len() > limit + 1 {
                    self.skipping = true;
                    input.clear();
                }
                None
            }
            Some(end) => {
                let mut length = input[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
                if self.skipping || length > limit {
                    self.skipping = false;
                    input.advance(end + 1);
                    return Some(Line::TooLong);
                }
                // As Postfix, any more CRs belong to the end.
                while length > 0 && input[length - 1] == b'\r' {
                    length -= 1;
                }
                Some(Line::Whole { length, next: end + 1 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, LineFramer};
    use bytes::BytesMut;

    fn find(text: &[u8]) -> Option<Line> {
        LineFramer::default().find(&mut BytesMut::from(text), 4)
    }

    #[test]
    fn ends_and_limits() {
        assert_eq!(find(b"abcd\r\nx"), Some(Line::Whole { length: 4, next: 6 }));
        assert_eq!(find(b"abc\n"), Some(Line::Whole { length: 3, next: 4 }));
        assert_eq!(find(b"\r\n"), Some(Line::Whole { length: 0, next: 2 }));
        assert_eq!(find(b"abcde\r\n"), Some(Line::TooLong));
        assert_eq!(find(b"abcd\r"), None);
    }

    #[test]
    fn a_long_line_is_not_kept() {
        let mut framer = LineFramer::default();
        let mut input = BytesMut::from(&b"abcdef"[..]);
        assert_eq!(framer.find(&mut input, 4), None);
        assert!(input.is_empty());
        input.extend_from_slice(b"g\nQUIT\n");
        assert_eq!(framer.find(&mut input, 4), Some(Line::TooLong));
        assert_eq!(framer.find(&mut input, 4), Some(Line::Whole { length: 4, next: 5 }));
    }
}
