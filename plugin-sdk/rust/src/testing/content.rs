//! The message, and what is done to it. As in the host, the plugin goes on seeing what it was
//! handed.

use super::{Host, ask, did};
use crate::Error;
use crate::scanner::Outcome;

/// As many headers as the contract gives at once.
const PAGE: usize = 64;
/// As many bytes.
const CHUNK: usize = 65_536;

#[derive(Clone, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
    /// What each scanner says of it.
    scanners: std::collections::HashMap<String, Result<Outcome, Error>>,
}

impl Host {
    /// The message. A bare LF ends a line, too.
    #[must_use]
    pub fn message(self, text: &str) -> Self {
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        self.with(|state| state.message.bytes = text.into_bytes())
    }

    /// What a scanner says of the message.
    #[must_use]
    pub fn scanner(self, name: &str, outcome: Result<Outcome, Error>) -> Self {
        self.with(|state| _ = state.message.scanners.insert(name.to_owned(), outcome))
    }
}

fn bytes<T>(question: impl FnOnce(&[u8]) -> T) -> T {
    ask(|state| question(&state.message.bytes))
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Where the body begins.
fn body(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") {
        return 2;
    }
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4)
}

/// Name and value of each header, folded.
fn parse(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = String::from_utf8_lossy(&bytes[..body(bytes)]).into_owned();
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        match headers.last_mut() {
            Some((_, value)) if line.starts_with([' ', '\t']) => {
                value.push_str("\r\n");
                value.push_str(line);
            }
            _ => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                headers.push((name.to_owned(), value.trim_start().to_owned()));
            }
        }
    }
    headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn of(bytes: &[u8], name: &str) -> Vec<Vec<u8>> {
    let named = |(its, _): &(Vec<u8>, _)| its.eq_ignore_ascii_case(name.as_bytes());
    parse(bytes).into_iter().filter(named).map(|(_, value)| value).collect()
}

/// Remembers that a header was put in.
pub(super) fn put(what: &str, name: &str, value: &str) {
    did(format!("{what} {name}: {value}"));
}

#[expect(clippy::unnecessary_wraps, reason = "the contract's functions may fail")]
pub mod message {
    use super::{CHUNK, PAGE, body, bytes, number, of, parse};
    use crate::Error;

    pub fn size() -> u64 {
        bytes(|bytes| number(bytes.len()))
    }

    pub fn body_offset() -> u64 {
        bytes(|bytes| number(body(bytes)))
    }

    pub fn read(offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let length = CHUNK.min(length as usize);
        Ok(bytes(|bytes| bytes.iter().skip(offset).take(length).copied().collect()))
    }

    pub fn header(name: &str) -> Vec<Vec<u8>> {
        bytes(|bytes| of(bytes, name))
    }

    /// Encoded words stay as they are.
    pub fn header_text(name: &str) -> Vec<String> {
        let unfolded = |value: Vec<u8>| String::from_utf8_lossy(&value).replace("\r\n", "");
        header(name).into_iter().map(unfolded).collect()
    }

    pub fn headers(from: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        bytes(|bytes| parse(bytes).into_iter().skip(from as usize).take(PAGE).collect())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the contract's functions may fail")]
pub mod message_edit {
    use super::super::Made;
    use super::{ask, bytes, did, of, put};
    use crate::{Error, MailAddress};

    pub fn add_header(name: &str, value: &str) -> Result<(), Error> {
        put("add-header", name, value);
        Ok(())
    }

    pub fn insert_header(index: u32, name: &str, value: &str) -> Result<(), Error> {
        put(&format!("insert-header {index}"), name, value);
        Ok(())
    }

    pub fn replace_header(name: &str, occurrence: u32, value: &str) -> Result<bool, Error> {
        put(&format!("replace-header {occurrence}"), name, value);
        Ok(bytes(|bytes| of(bytes, name).len() > occurrence as usize))
    }

    pub fn remove_header(name: &str, occurrence: Option<u32>) -> Result<u32, Error> {
        let there = bytes(|bytes| of(bytes, name).len());
        let Some(occurrence) = occurrence else {
            did(format!("remove-header {name}"));
            return Ok(u32::try_from(there).unwrap_or(u32::MAX));
        };
        did(format!("remove-header {occurrence} {name}"));
        Ok(u32::from(there > occurrence as usize))
    }

    pub fn replace_body(chunk: &[u8], _last: bool) -> Result<(), Error> {
        did(format!("replace-body {}", String::from_utf8_lossy(chunk)));
        Ok(())
    }

    pub fn quarantine(reason: &str) {
        did(format!("quarantine {reason}"));
    }

    pub fn add_recipient(to: &MailAddress) -> Result<(), Error> {
        did(format!("add-recipient {to}"));
        Ok(())
    }

    pub fn remove_recipient(to: &MailAddress) -> Result<bool, Error> {
        did(format!("remove-recipient {to}"));
        let there = |state: &mut Made| {
            state.envelope.accepted.iter().any(|accepted| accepted.address == *to)
        };
        Ok(ask(there))
    }

    pub fn set_sender(sender: Option<&MailAddress>) -> Result<(), Error> {
        did(format!("set-sender <{}>", sender.map(ToString::to_string).unwrap_or_default()));
        Ok(())
    }
}

pub mod scanner {
    use super::ask;
    use crate::Error;
    use crate::scanner::Outcome;

    pub fn scan(scanner: &str) -> Result<Outcome, Error> {
        let outcome = ask(|state| state.message.scanners.get(scanner).cloned());
        outcome.unwrap_or_else(|| Err(Error::UnknownName(format!("[scanners.{scanner}]"))))
    }

    pub fn check(name: &str) -> Result<(), Error> {
        if ask(|state| state.message.scanners.contains_key(name)) {
            return Ok(());
        }
        Err(Error::UnknownName(format!("[scanners.{name}]")))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Host;
    use crate::{message, message_edit};

    #[test]
    fn a_message_is_read_and_edited() {
        let host = Host::new().message("Subject: a\n b\nTo: c\nsubject: d\n\nhello\n");
        host.run(|| {
            assert_eq!(message::header("SUBJECT"), [b"a\r\n b".to_vec(), b"d".to_vec()]);
            assert_eq!(message::header_text("subject"), ["a b", "d"]);
            assert_eq!(message::all_headers().count(), 3);
            assert_eq!(message::read(message::body_offset(), 5), Ok(b"hello".to_vec()));
            assert_eq!(message_edit::remove_header("subject", None), Ok(2));
            assert_eq!(message_edit::replace_header("to", 1, "x"), Ok(false));
        });
        assert_eq!(host.did(), ["remove-header subject", "replace-header 1 to: x"]);
    }
}
