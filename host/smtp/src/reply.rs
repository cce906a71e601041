//! A reply (RFC 5321 4.2) with its enhanced status code (RFC 3463).
//!
//! Invariant: whatever the text, what is written is well-formed replies of bounded lines, so that
//! no text can end a reply early. Does not parse replies: see `reply_parser`.

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut as _, BytesMut};

use crate::domain;
use crate::status::{Detail, EnhancedStatus};

/// Octets of text on one reply line: 512 with code, enhanced code and CRLF (RFC 5321 4.5.3.1.5).
/// Longer text goes on in a continuation line.
const MAX_TEXT_LINE: usize = 490;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The reply code, 200 to 599.
    pub code: u16,
    /// The enhanced status code; replies to HELO and greetings have none.
    pub enhanced: Option<EnhancedStatus>,
    /// The text, its lines parted by `\n`.
    pub text: String,
}

impl Reply {
    /// A reply whose status has the class of its code. `detail` is one of
    /// [`status`](crate::status).
    pub fn new(code: u16, detail: Detail, text: impl Into<String>) -> Self {
        Self { code, enhanced: detail.of(code), text: text.into() }
    }

    /// A reply without a status: a greeting, the answers to EHLO and DATA, what an old server says.
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self { code, enhanced: None, text: text.into() }
    }

    /// 2yz or 3yz: done, or go on.
    pub fn is_positive(&self) -> bool {
        matches!(self.code, 200..=399)
    }

    /// 4yz: the same may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self.code, 400..=499)
    }

    /// 5yz: don't try again.
    pub fn is_permanent(&self) -> bool {
        matches!(self.code, 500..=599)
    }

    /// Writes the wire form: one line for each line of the text, each with the enhanced code (RFC
    /// 2034 section 4). Control characters become `?`, lines over 512 octets are continued. `utf8`:
    /// the client said SMTPUTF8 (RFC 6531 section 3.7.4); for any other the text becomes ASCII.
    pub fn write_to(&self, output: &mut BytesMut, utf8: bool) {
        let text = if utf8 { Cow::Borrowed(&*self.text) } else { in_ascii(&self.text) };
        let mut lines = text.split('\n').flat_map(wrap).peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            let start = output.len();
            // Writing to a BytesMut can't fail: it grows.
            let _ = match self.enhanced {
                Some(enhanced) => fmt::Write::write_fmt(
                    output,
                    format_args!("{:03}{separator}{enhanced} {line}", self.code.min(999)),
                ),
                None => fmt::Write::write_fmt(
                    output,
                    format_args!("{:03}{separator}{line}", self.code.min(999)),
                ),
            };
            for byte in &mut output[start..] {
                if byte.is_ascii_control() {
                    *byte = b'?';
                }
            }
            output.put_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// One line for logs and reports: `550 5.1.1 text`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:03}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(formatter, " {enhanced}")?;
        }
        for line in self.text.split('\n').filter(|line| !line.is_empty()) {
            write!(formatter, " {}", line.trim_end_matches('\r'))?;
        }
        Ok(())
    }
}

/// A text in ASCII, for a dialogue or a header that may hold nothing else: the domains of addresses
/// with A-labels, and `?` for what has no such form.
pub fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let ends_domain =
        |c: char| c.is_ascii() && !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let mut written = String::with_capacity(text.len());
    for (number, piece) in text.split('@').enumerate() {
        if number == 0 {
            written.push_str(piece);
            continue;
        }
        let (domain, after) = piece.split_at(piece.find(ends_domain).unwrap_or(piece.len()));
        written.push('@');
        written.push_str(&domain::ascii(domain));
        written.push_str(after);
    }
    Cow::Owned(written.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect())
}

/// Parts a line of text into pieces of at most [`MAX_TEXT_LINE`] octets, at a space where there is
/// one.
fn wrap(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line.strip_suffix('\r').unwrap_or(line));
    std::iter::from_fn(move || {
        let text = rest?;
        if text.len() <= MAX_TEXT_LINE {
            rest = None;
            return Some(text);
        }
        let limit = text.floor_char_boundary(MAX_TEXT_LINE);
        let (piece, after) =
            text.split_at(text[..limit].rfind(' ').filter(|&space| space > 0).unwrap_or(limit));
        rest = Some(after.trim_start_matches(' '));
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::Reply;
    use crate::status;
    use bytes::BytesMut;

    fn wire(reply: &Reply) -> String {
        let mut output = BytesMut::new();
        reply.write_to(&mut output, true);
        String::from_utf8(output.to_vec()).unwrap()
    }

    #[test]
    fn one_line_and_many() {
        assert_eq!(wire(&Reply::new(250, status::UNDEFINED, "Ok")), "250 2.0.0 Ok\r\n");
        assert_eq!(wire(&Reply::plain(220, "mx ESMTP")), "220 mx ESMTP\r\n");
        assert_eq!(
            wire(&Reply::new(550, status::NOT_AUTHORIZED, "no\nreally")),
            "550-5.7.1 no\r\n550 5.7.1 really\r\n"
        );
        assert_eq!(
            Reply::new(550, status::NOT_AUTHORIZED, "no\nreally").to_string(),
            "550 5.7.1 no really"
        );
    }

    #[test]
    fn no_text_breaks_out_of_its_reply() {
        assert_eq!(wire(&Reply::plain(550, "a\r\n250 ok\rb\0")), "550-a\r\n550 250 ok?b?\r\n");
    }

    #[test]
    fn long_lines_are_continued() {
        let text = format!("{} {} {}", "a".repeat(300), "b".repeat(300), "é".repeat(600));
        let written =
            wire(&Reply { enhanced: "5.999.999".parse().ok(), ..Reply::plain(550, text.clone()) });
        assert!(written.lines().all(|line| line.len() + 2 <= 512 && line.starts_with("550")));
        let back: String = written.lines().map(|line| &line[14..]).collect();
        assert_eq!(back, text.replace(' ', ""));
    }

    #[test]
    fn a_client_without_smtputf8_hears_ascii() {
        let reply = Reply::new(
            550,
            status::BAD_MAILBOX,
            "<rené@bücher.test>: Désolé, <x@日本.jp>, y@bücher.test: é@é",
        );
        let mut output = BytesMut::new();
        reply.write_to(&mut output, false);
        assert_eq!(
            String::from_utf8(output.to_vec()).unwrap(),
            "550 5.1.1 <ren?@xn--bcher-kva.test>: D?sol?, <x@xn--wgv71a.jp>, \
             y@xn--bcher-kva.test: ?@xn--9ca\r\n"
        );
        assert!(wire(&reply).contains("<rené@bücher.test>: Désolé"));
    }
}
