//! Reads a server's replies off the wire, for the client.
//!
//! Invariants: a reply of more than [`MAX_REPLY`] octets or [`MAX_REPLY_LINE`] octets in a line, or
//! one without the form of RFC 5321 4.2.1, is malformed, and nothing more is read from that
//! connection. Text comes out printable.

use bytes::{Buf as _, BytesMut};

use crate::reply::{Enhanced, Reply};

/// Octets of one line of a reply; RFC 5321 4.5.3.1.5 says 512, servers write more.
const MAX_REPLY_LINE: usize = 2048;
/// Octets of text of one whole reply: more than any EHLO answer needs.
const MAX_REPLY: usize = 16 * 1024;

/// The server spoke something that is no reply; holds a printable beginning of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// The reply read so far.
#[derive(Default)]
pub(crate) struct ReplyParser {
    partial: Option<Reply>,
}

impl ReplyParser {
    /// The next whole reply; None: more bytes are needed.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Option<Result<Reply, Malformed>> {
        loop {
            let Some(end) = memchr::memchr(b'\n', input) else {
                return (input.len() > MAX_REPLY_LINE).then(|| Err(malformed(input)));
            };
            if end > MAX_REPLY_LINE {
                return Some(Err(malformed(input)));
            }
            let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
            let Some((code, last, text)) = split(line) else {
                return Some(Err(malformed(line)));
            };
            let text = printable(text);
            let (enhanced, text) = match text.split_once(' ').unwrap_or((&text, "")) {
                (first, rest)
                    if first
                        .parse::<Enhanced>()
                        .is_ok_and(|found| u16::from(found.class) == code / 100) =>
                {
                    (first.parse().ok(), rest)
                }
                _ => (None, text.as_str()),
            };
            match &mut self.partial {
                None => self.partial = Some(Reply { code, enhanced, text: text.to_owned() }),
                Some(reply) if reply.code == code && reply.text.len() + text.len() < MAX_REPLY => {
                    reply.text.push('\n');
                    reply.text.push_str(text);
                }
                Some(_) => return Some(Err(malformed(line))),
            }
            input.advance(end + 1);
            if last {
                return self.partial.take().map(Ok);
            }
        }
    }
}

/// Code, whether it is the last line, text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest {
        [] => Some((code, true, rest)),
        [b' ', text @ ..] => Some((code, true, text)),
        [b'-', text @ ..] => Some((code, false, text)),
        _ => None,
    }
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
    use super::{MAX_REPLY, MAX_REPLY_LINE, Malformed, ReplyParser};
    use crate::reply::Reply;
    use bytes::BytesMut;

    fn parse(text: &[u8]) -> Option<Result<Reply, Malformed>> {
        ReplyParser::default().next(&mut BytesMut::from(text))
    }

    #[test]
    fn replies() {
        assert_eq!(parse(b"250 2.1.0 Ok\r\n"), Some(Ok(Reply::new(250, "2.1.0", "Ok"))));
        assert_eq!(parse(b"250\n"), Some(Ok(Reply::new(250, "", ""))));
        assert_eq!(
            parse(b"550-5.1.1 a\r\n550 5.1.1 b\r\n"),
            Some(Ok(Reply::new(550, "5.1.1", "a\nb")))
        );
        assert_eq!(
            parse(b"550 2.1.1 not its class\r\n"),
            Some(Ok(Reply::new(550, "", "2.1.1 not its class")))
        );
        assert_eq!(parse(b"250-a\r\n250 b"), None);
        assert_eq!(parse(b"250 \xff\x07\r\n"), Some(Ok(Reply::new(250, "", "\u{fffd}?"))));
    }

    #[test]
    fn malformed() {
        for text in [
            "hello\r\n",
            "25 ok\r\n",
            "250_ok\r\n",
            "199 x\r\n",
            "600 x\r\n",
            "250-a\r\n550 b\r\n",
            "\r\n",
            "2500\r\n",
        ] {
            assert!(matches!(parse(text.as_bytes()), Some(Err(_))), "{text:?}");
        }
    }

    #[test]
    fn limits() {
        assert!(parse(&vec![b'2'; MAX_REPLY_LINE]).is_none());
        assert!(matches!(parse(&vec![b'2'; MAX_REPLY_LINE + 1]), Some(Err(_))));
        assert!(matches!(parse(&b"250-0123456789\r\n".repeat(MAX_REPLY / 10)), Some(Err(_))));
    }
}
