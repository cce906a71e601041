//! Reads a server's replies off the wire, for the client.
//!
//! A reply ends at the first line with three digits that no hyphen follows, and the code of that
//! line counts: a server that writes its replies oddly still gives an outcome, and isn't sent the
//! message again and again. Other lines are skipped. What is odd is noted, since replies that are
//! not framed by the rules may be out of step with commands.
//!
//! Invariants: of a line no more than [`MAX_REPLY_LINE`] octets are kept; a reply without an end
//! within [`MAX_REPLY`] octets, or with a code outside 200 to 599, is malformed, and nothing more is
//! read from that connection. Text comes out printable.

use bytes::{Buf as _, BytesMut};

use crate::reply::Reply;
use crate::status::EnhancedStatus;

/// Octets of one line of a reply that are kept; RFC 5321 4.5.3.1.5 says 512, servers write more.
const MAX_REPLY_LINE: usize = 2048;
/// Octets of one whole reply, with what is skipped: more than any answer to EHLO needs.
const MAX_REPLY: usize = 64 * 1024;

/// The server spoke something that is no reply; holds a printable beginning of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// Reads one reply after the other.
#[derive(Default)]
pub(crate) struct ReplyParser {
    /// The lines read so far.
    partial: Option<Reply>,
    /// The last line is there, but maybe not all of it.
    ended: bool,
    /// The rest of a long line is to be skipped.
    skipping: bool,
    /// Octets of this reply so far.
    octets: usize,
    odd: bool,
}

impl ReplyParser {
    /// Whether any reply so far wasn't written as RFC 5321 4.2.1 has it.
    pub(crate) fn is_odd(&self) -> bool {
        self.odd
    }

    /// The next whole reply; None: more bytes are needed.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Option<Result<Reply, Malformed>> {
        loop {
            let end = memchr::memchr(b'\n', input);
            let length = end.unwrap_or(input.len());
            if end.is_none() && length <= MAX_REPLY_LINE && !self.skipping {
                return None;
            }
            if !self.skipping {
                self.odd |= length > MAX_REPLY_LINE;
                if let Err(malformed) = self.line(&input[..length.min(MAX_REPLY_LINE)]) {
                    return Some(Err(malformed));
                }
            }
            let taken = end.map_or(length, |end| end + 1);
            input.advance(taken);
            self.octets += taken;
            if self.octets > MAX_REPLY {
                return Some(Err(malformed(b"it has no end")));
            }
            self.skipping = end.is_none();
            if self.skipping {
                return None;
            }
            if self.ended {
                self.ended = false;
                self.octets = 0;
                return self.partial.take().map(Ok);
            }
        }
    }

    /// Takes one line, or the beginning of a long one.
    fn line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some((code, end, text)) = split(line) else {
            self.odd = true;
            return Ok(());
        };
        if !(200..=599).contains(&code) {
            return Err(malformed(line));
        }
        self.odd |= end == End::Odd;
        self.ended = end != End::GoesOn;
        let text = printable(text);
        let (enhanced, text) = match text.split_once(' ').unwrap_or((&text, "")) {
            (first, rest)
                if first
                    .parse::<EnhancedStatus>()
                    .is_ok_and(|found| u16::from(found.class) == code / 100) =>
            {
                (first.parse().ok(), rest)
            }
            _ => (None, text.as_str()),
        };
        match &mut self.partial {
            None => self.partial = Some(Reply { code, enhanced, text: text.to_owned() }),
            Some(reply) => {
                if reply.code != code {
                    self.odd = true;
                    reply.code = code;
                    reply.enhanced = enhanced;
                }
                reply.text.push('\n');
                reply.text.push_str(text);
            }
        }
        Ok(())
    }
}

/// How a line ends its reply.
#[derive(PartialEq, Eq)]
enum End {
    /// It doesn't.
    GoesOn,
    /// As it should.
    Regular,
    /// Without the space that belongs after the code.
    Odd,
}

/// Code, whether it is the last line, text. None: it doesn't begin with three digits.
fn split(line: &[u8]) -> Option<(u16, End, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Some(match rest {
        [] => (code, End::Regular, rest),
        [b' ', text @ ..] => (code, End::Regular, text),
        [b'-', text @ ..] => (code, End::GoesOn, text),
        text => (code, End::Odd, text),
    })
}

fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim_end()
        .chars()
        .map(|character| if character.is_control() { '?' } else { character })
        .collect()
}

fn malformed(line: &[u8]) -> Malformed {
    const SHOWN: usize = 100;
    Malformed(printable(&line[..line.len().min(SHOWN)]))
}

#[cfg(test)]
mod tests {
    use super::{MAX_REPLY, MAX_REPLY_LINE, ReplyParser};
    use crate::reply::Reply;
    use crate::status;
    use bytes::BytesMut;

    /// What it is, and whether it is odd.
    fn parse(text: &str) -> (Option<Reply>, bool) {
        let mut parser = ReplyParser::default();
        // Octet by octet: a reply may come in any pieces.
        let mut input = BytesMut::new();
        let mut reply = None;
        for byte in text.bytes() {
            assert_eq!(reply, None, "{text:?} goes on after its end");
            input.extend_from_slice(&[byte]);
            reply = parser.next(&mut input).map(Result::unwrap);
        }
        (reply, parser.is_odd())
    }

    fn regular(text: &str) -> Option<Reply> {
        let (reply, odd) = parse(text);
        assert!(!odd, "{text:?}");
        reply
    }

    fn odd(text: &str) -> Option<Reply> {
        let (reply, odd) = parse(text);
        assert!(odd, "{text:?}");
        reply
    }

    #[test]
    fn replies() {
        assert_eq!(regular("250 2.1.0 Ok\r\n"), Some(Reply::new(250, status::ADDRESS, "Ok")));
        assert_eq!(regular("250\n"), Some(Reply::plain(250, "")));
        assert_eq!(
            regular("550-5.1.1 a\r\n550 5.1.1 b\r\n"),
            Some(Reply::new(550, status::BAD_MAILBOX, "a\nb"))
        );
        assert_eq!(
            regular("550 2.1.1 not its class\r\n"),
            Some(Reply::plain(550, "2.1.1 not its class"))
        );
        assert_eq!(regular("250-a\r\n250 b"), None);
        let mut input = BytesMut::from(&b"250 \xff\x07\r\n"[..]);
        let reply = ReplyParser::default().next(&mut input);
        assert_eq!(reply, Some(Ok(Reply::plain(250, "\u{fffd}?"))));
    }

    #[test]
    fn the_first_code_without_a_hyphen_ends_a_reply_and_counts() {
        assert_eq!(odd("250OK queued\r\n"), Some(Reply::plain(250, "OK queued")));
        assert_eq!(odd("250-taken\r\n251 as 42\r\n"), Some(Reply::plain(251, "taken\nas 42")));
        assert_eq!(
            odd("550-5.1.1 no\r\n554 5.7.1 never\r\n"),
            Some(Reply::new(554, status::NOT_AUTHORIZED, "no\nnever"))
        );
        assert_eq!(
            odd("250-2.0.0 well\r\n550 or not\r\n"),
            Some(Reply::plain(550, "well\nor not"))
        );
        assert_eq!(odd("550\tno\r\n"), Some(Reply::plain(550, "?no")));
    }

    #[test]
    fn lines_without_a_code_are_skipped() {
        assert_eq!(
            odd("550-5.7.1 no\r\nsince we say so\r\n\r\n550 5.7.1 bye\r\n"),
            Some(Reply::new(550, status::NOT_AUTHORIZED, "no\nbye"))
        );
        assert_eq!(odd("hello\r\n25 ok\r\n2500\r\n220 mx\r\n"), Some(Reply::plain(220, "mx")));
        assert_eq!(odd("hello\r\n"), None);
    }

    #[test]
    fn of_a_long_line_the_beginning_counts() {
        let long = format!("550 5.7.1 {}\r\n", "x".repeat(3000));
        let (reply, is_odd) = parse(&long);
        let reply = reply.unwrap();
        assert!(is_odd && (reply.code, reply.text.len()) == (550, MAX_REPLY_LINE - 10));
        // What follows it is another reply.
        let mut input = BytesMut::from(&*format!("{long}250 next\r\n"));
        let mut parser = ReplyParser::default();
        assert_eq!(parser.next(&mut input), Some(Ok(reply)));
        assert_eq!(parser.next(&mut input), Some(Ok(Reply::plain(250, "next"))));
    }

    #[test]
    fn a_code_that_says_nothing_is_malformed() {
        for text in ["199 x\r\n", "600 x\r\n", "000\r\n", "250-a\r\n999 b\r\n"] {
            let reply = ReplyParser::default().next(&mut BytesMut::from(text));
            assert!(matches!(reply, Some(Err(_))), "{text:?}");
        }
    }

    #[test]
    fn a_reply_without_an_end_is_given_up() {
        for line in ["250-0123456789\r\n", "0123456789\r\n", "\n", "x"] {
            let mut parser = ReplyParser::default();
            let mut input = BytesMut::new();
            let mut replies = (0..2 * MAX_REPLY).map_while(|_| {
                input.extend_from_slice(line.as_bytes());
                let reply = parser.next(&mut input);
                assert!(input.len() <= MAX_REPLY_LINE, "{line:?}");
                Some(reply)
            });
            assert!(replies.any(|reply| matches!(reply, Some(Err(_)))), "{line:?}");
        }
    }
}
