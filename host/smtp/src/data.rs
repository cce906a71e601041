//! Content of a message on the way in: the framing of DATA, and line ends made CRLF, which BDAT
//! shares.
//!
//! Invariants:
//! - Only CRLF.CRLF ends DATA (the CRLF of the command line counts as the first).
//! - What comes out has CRLF line ends and neither a bare CR nor a bare LF. A bare LF ends a line
//!   (and, as in Postfix 3.9, the line after it is unstuffed) but never takes part in the end of
//!   data; a bare CR becomes a space.
//! - However the input is split, the octets that come out are the same.
//!
//! Lines may have any length. Sizes are limited by the server, not here.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr2;

/// How the end of the content is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// DATA: dot-stuffed lines, ended by a line of a single dot.
    Dots,
    /// BDAT: by counting; a dot is a dot.
    Counted,
}

/// Where in a line the decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After CRLF, or at the very beginning.
    LineStart,
    /// After a bare LF.
    LineStartAfterBareLf,
    Text,
    /// After a CR that may turn out to be bare.
    Cr,
    /// After CRLF.
    Dot,
    /// After CRLF.CR
    DotCr,
    /// After CRLF.CRLF
    Ended,
}

/// Decodes one message.
#[derive(Debug)]
pub(crate) struct Decoder {
    framing: Framing,
    state: Place,
    bare_newline: bool,
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, state: Place::LineStart, bare_newline: false }
    }

    /// Whether the end of DATA was seen; what follows in the input is the next command.
    pub(crate) fn ended(&self) -> bool {
        self.state == Place::Ended
    }

    /// Whether a bare LF was seen.
    pub(crate) fn bare_newline(&self) -> bool {
        self.bare_newline
    }

    /// Consumes of the first `available` octets of the input what can be decoded, all but for the
    /// end of data, and gives the content. Clean content is cut off the input without a copy. May
    /// consume without giving any.
    pub(crate) fn decode(&mut self, input: &mut BytesMut, available: usize) -> Option<Bytes> {
        let (clean, state) = self.clean(&input[..available]);
        if clean > 0 {
            self.state = state;
            return Some(input.split_to(clean).freeze());
        }
        let mut output = BytesMut::with_capacity(available);
        let consumed = self.rewrite(&input[..available], &mut output);
        input.advance(consumed);
        (!output.is_empty()).then(|| output.freeze())
    }

    /// Ends counted content; gives what its last line lacks to be one.
    pub(crate) fn finish(&mut self) -> Option<Bytes> {
        let missing: &[u8] = match self.state {
            Place::Text => b"\r\n",
            Place::Cr => b" \r\n",
            _ => return None,
        };
        self.state = Place::LineStart;
        Some(Bytes::from_static(missing))
    }

    /// How many of these octets are content as they stand, and the state after them.
    fn clean(&self, bytes: &[u8]) -> (usize, Place) {
        let mut at = 0;
        let mut state = self.state;
        if !matches!(state, Place::LineStart | Place::LineStartAfterBareLf | Place::Text) {
            return (0, state);
        }
        while at < bytes.len() {
            if bytes[at] == b'.' && state != Place::Text && self.framing == Framing::Dots {
                break;
            }
            let Some(length) = memchr2(b'\r', b'\n', &bytes[at..]) else {
                return (bytes.len(), Place::Text);
            };
            if !bytes[at + length..].starts_with(b"\r\n") {
                return if length == 0 { (at, state) } else { (at + length, Place::Text) };
            }
            at += length + 2;
            state = Place::LineStart;
        }
        (at, state)
    }

    /// Decodes octet by octet what isn't clean, up to the end of data; gives how many octets it
    /// took.
    fn rewrite(&mut self, bytes: &[u8], output: &mut BytesMut) -> usize {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                Place::Ended => break,
                Place::LineStart if byte == b'.' && self.framing == Framing::Dots => {
                    self.state = Place::Dot;
                    at += 1;
                }
                Place::LineStartAfterBareLf if byte == b'.' && self.framing == Framing::Dots => {
                    self.state = Place::Text;
                    at += 1;
                }
                Place::Dot if byte == b'\r' => {
                    self.state = Place::DotCr;
                    at += 1;
                }
                // The dot was stuffing.
                Place::Dot => self.state = Place::Text,
                Place::DotCr if byte == b'\n' => {
                    self.state = Place::Ended;
                    at += 1;
                }
                Place::Cr if byte == b'\n' => {
                    output.extend_from_slice(b"\r\n");
                    self.state = Place::LineStart;
                    at += 1;
                }
                // The CR was bare.
                Place::Cr | Place::DotCr => {
                    output.extend_from_slice(b" ");
                    self.state = Place::Text;
                }
                Place::Text | Place::LineStart | Place::LineStartAfterBareLf => match byte {
                    b'\r' => {
                        self.state = Place::Cr;
                        at += 1;
                    }
                    b'\n' => {
                        output.extend_from_slice(b"\r\n");
                        self.bare_newline = true;
                        self.state = Place::LineStartAfterBareLf;
                        at += 1;
                    }
                    _ => {
                        let rest = &bytes[at..];
                        let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                        output.extend_from_slice(&rest[..length]);
                        self.state = Place::Text;
                        at += length;
                    }
                },
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Framing};
    use bytes::BytesMut;

    /// Content, whether it ended, what was left.
    fn decode(text: &[u8]) -> (Vec<u8>, bool, Vec<u8>) {
        let mut decoder = Decoder::new(Framing::Dots);
        let mut input = BytesMut::from(text);
        let mut content = Vec::new();
        while !input.is_empty() && !decoder.ended() {
            let available = input.len();
            content.extend(decoder.decode(&mut input, available).into_iter().flatten());
        }
        (content, decoder.ended(), input.to_vec())
    }

    fn ended(content: &[u8], rest: &[u8]) -> (Vec<u8>, bool, Vec<u8>) {
        (content.to_vec(), true, rest.to_vec())
    }

    #[test]
    fn the_end_and_nothing_else() {
        assert_eq!(decode(b".\r\nQUIT\r\n"), ended(b"", b"QUIT\r\n"));
        assert_eq!(decode(b"a\r\n.\r\nQUIT\r\n"), ended(b"a\r\n", b"QUIT\r\n"));
        assert_eq!(
            decode(b"a\r\n..\r\n...b\r\n.c\r\n.\r\n"),
            ended(b"a\r\n.\r\n..b\r\nc\r\n", b"")
        );
    }

    #[test]
    fn smuggling_sequences_do_not_end() {
        for (sequence, content) in [
            (&b"a\n.\nb\r\n"[..], &b"a\r\n\r\nb\r\n"[..]),
            (b"a\n.\r\nb\r\n", b"a\r\n\r\nb\r\n"),
            (b"a\r\n.\nb\r\n", b"a\r\n\r\nb\r\n"),
            (b"a\r.\rb\r\n", b"a . b\r\n"),
            (b"a\r.\r\nb\r\n", b"a .\r\nb\r\n"),
            (b"a\r\n.\rb\r\n", b"a\r\n b\r\n"),
            (b"a\r\r\n.\r\r\nb\r\n", b"a \r\n \r\nb\r\n"),
            (b"a\n\r.\r\nb\r\n", b"a\r\n .\r\nb\r\n"),
            (b"a\r\n\0.\r\nb\r\n", b"a\r\n\0.\r\nb\r\n"),
            (b"a\r\n.\r\0\nb\r\n", b"a\r\n \0\r\nb\r\n"),
        ] {
            let text = [sequence, b".\r\nNEXT"].concat();
            assert_eq!(decode(&text), ended(content, b"NEXT"), "{sequence:?}");
        }
    }

    #[test]
    fn counted_content_is_given_its_last_line_end() {
        let mut decoder = Decoder::new(Framing::Counted);
        let mut content = Vec::new();
        for chunk in [&b"a\r"[..], b"\n.\r\n\r", b"x\ny\r"] {
            let mut input = BytesMut::from(chunk);
            while !input.is_empty() {
                let available = input.len();
                content.extend(decoder.decode(&mut input, available).into_iter().flatten());
            }
        }
        content.extend(decoder.finish().into_iter().flatten());
        assert_eq!(content, b"a\r\n.\r\n x\r\ny \r\n");
        assert!(decoder.finish().is_none() && decoder.bare_newline());
    }

    #[test]
    fn clean_content_is_one_slice() {
        let mut decoder = Decoder::new(Framing::Dots);
        let mut input = BytesMut::from(&b"Subject: x\r\n\r\nbody\r\n.\r\n"[..]);
        let start = input.as_ptr();
        let available = input.len();
        let body = decoder.decode(&mut input, available).unwrap();
        assert_eq!(body.len(), 20);
        assert_eq!(body.as_ptr(), start);
    }
}
