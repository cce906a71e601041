//! The header fields of a message: the one rule for where they end, and an iterator over them.
//!
//! Whoever looks at headers looks at them by this rule, so that what a filter is shown is what is
//! stored, sent on and read. It is Postfix's: a field begins with a name of printable ASCII, then
//! blanks, if any, and a colon; lines that begin with a blank belong to the field before them. An
//! empty line ends the headers, and so does anything else, which then is the first line of the
//! body. [`crate::HeaderSection`] puts the empty line there when a message comes in.
//!
//! Knows names and places only: no value is looked at, and nothing is decoded.

use memchr::memchr;

use crate::stuffing::MAX_LINE;

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Where it begins, in octets.
    pub start: usize,
    /// Where its colon is.
    pub colon: usize,
    /// Where the next one begins: after its line end.
    pub end: usize,
    /// As it is written, without the blanks before the colon.
    pub name: &'a [u8],
    /// What follows the colon, folded as it is, without the last line end.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is its name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields that a message begins with. What is cut off within a field doesn't count as one.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    body: Option<usize>,
}

impl<'a> Fields<'a> {
    /// Those of these octets: a message, or its beginning. Lines end in CRLF.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, body: None }
    }

    /// Where the fields end and the body begins, after the empty line if there is one. None: the
    /// headers go on beyond these octets, or there is nothing else in the message.
    pub fn body(mut self) -> Option<usize> {
        while self.next().is_some() {}
        self.body
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.body.is_some() {
            return None;
        }
        let start = self.at;
        let Line::Field { name, colon } = Line::of(&self.bytes[start..])? else {
            let is_empty_line = self.bytes[start..].starts_with(b"\r\n");
            self.body = Some(if is_empty_line { start + 2 } else { start });
            return None;
        };
        let mut end = start;
        loop {
            end += memchr(b'\n', &self.bytes[end..])? + 1;
            if !matches!(self.bytes.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        self.at = end;
        let lines = &self.bytes[start..end - 1];
        let value = &lines.strip_suffix(b"\r").unwrap_or(lines)[colon + 1..];
        Some(Field { start, colon: start + colon, end, name, value })
    }
}

/// What a line within the headers is, by its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// The empty line that ends the headers.
    Empty,
    /// It belongs to the field before it, if there is one.
    Folded,
    /// A field with this name, and where its colon is.
    Field { name: &'a [u8], colon: usize },
    /// None of these: the body begins.
    Text,
}

impl<'a> Line<'a> {
    /// The line that these octets begin with. None: more of them are needed. That a name and its
    /// colon fit into the longest line keeps what is waited for short; a longer one is folded on
    /// the way out, and no field to whoever gets it.
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [] | [b'\r'] => return None,
            [b'\r', b'\n', ..] => return Some(Self::Empty),
            [b' ' | b'\t', ..] => return Some(Self::Folded),
            _ => {}
        }
        let beginning = &bytes[..bytes.len().min(MAX_LINE)];
        let length = beginning.iter().take_while(|byte| is_of_name(**byte)).count();
        let blanks =
            beginning[length..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match beginning.get(length + blanks) {
            Some(b':') if length > 0 => {
                Some(Self::Field { name: &beginning[..length], colon: length + blanks })
            }
            None if beginning.len() < MAX_LINE => None,
            _ => Some(Self::Text),
        }
    }
}

/// Whether these octets are a field name (RFC 5322 section 2.2).
pub fn is_field_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_of_name(*byte))
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b':'
}

#[cfg(test)]
mod tests {
    use super::{Fields, Line, MAX_LINE, is_field_name};

    fn fields(text: &str) -> (Vec<(&str, &str)>, Option<usize>) {
        let mut fields = Fields::new(text.as_bytes());
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let all = fields.by_ref().map(|field| (text(field.name), text(field.value))).collect();
        (all, fields.body())
    }

    #[test]
    fn fields_keep_their_folding() {
        let message = "Subject: a\r\n b\r\nX-Empty:\r\nOld \t: c\r\n\r\nbody: x\r\n";
        let expected = vec![("Subject", " a\r\n b"), ("X-Empty", ""), ("Old", " c")];
        assert_eq!(fields(message), (expected, Some(message.len() - 9)));
    }

    #[test]
    fn what_is_no_field_begins_the_body() {
        for (text, body) in [
            ("A: b\r\nhello\r\n", 6),
            (" folded first\r\n", 0),
            ("A: b\r\nFrom me: c\r\n", 6),
            ("A: b\r\nX\u{e9}: c\r\n", 6),
            ("A: b\r\nX\u{c}: c\r\n", 6),
            (": c\r\n", 0),
            ("A: b\r\nX\0: c\r\n", 6),
            ("\r\nA: b\r\n", 2),
        ] {
            assert_eq!(fields(text).1, Some(body), "{text:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_not_decided() {
        for text in ["", "\r", "A: b\r\n", "A: b\r\nB", "A: b\r\nB \t", "A: b\r\n\r", "A: b"] {
            let (known, body) = fields(text);
            assert_eq!((known.len(), body), (usize::from(text.starts_with("A: b\r\n")), None));
        }
    }

    #[test]
    fn a_name_fits_into_a_line() {
        let line = |length: usize| format!("{}:\r\n", "x".repeat(length));
        assert_eq!(fields(&line(MAX_LINE - 1)).0.len(), 1);
        assert_eq!(fields(&line(MAX_LINE)).1, Some(0));
        let blanks = format!("X{}:\r\n", " ".repeat(MAX_LINE));
        assert_eq!(Line::of(blanks.as_bytes()), Some(Line::Text));
        assert!(is_field_name(b"X-Good") && !is_field_name(b"X Bad") && !is_field_name(b""));
    }
}
