//! A message as a plugin sees it: bytes read by ranges, and where its headers are.
//!
//! The bytes stay with whoever took the message in; this module only indexes headers, and only when a plugin first asks.

use std::sync::{Arc, OnceLock};

use crate::services::Unavailable;

/// What counts as headers at most (the contract says so); the rest is body.
pub const HEADER_LIMIT: usize = 100 * 1024;

/// The bytes of a message: lines end in CRLF, no dot-stuffing.
pub trait Content: Send + Sync + 'static {
    /// In bytes.
    fn size(&self) -> u64;
    /// At most `length` bytes from `offset`; fewer only at the end.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable>;
}

/// A message and its header index.
#[derive(Clone)]
pub struct Message {
    pub(crate) content: Arc<dyn Content>,
    index: Arc<OnceLock<Index>>,
}

/// Headers: the bytes, and where each stands in them.
#[derive(Debug)]
pub(crate) struct Index {
    bytes: Vec<u8>,
    headers: Vec<Header>,
    body: usize,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    start: usize,
    colon: usize,
    end: usize,
}

impl Message {
    /// Wraps the content.
    pub fn new(content: Arc<dyn Content>) -> Self {
        Self { content, index: Arc::default() }
    }

    pub(crate) fn index(&self) -> Result<&Index, Unavailable> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let bytes = self.content.read(0, HEADER_LIMIT)?;
        Ok(self.index.get_or_init(|| Index::new(bytes)))
    }
}

impl Index {
    fn new(bytes: Vec<u8>) -> Self {
        let mut headers: Vec<Header> = Vec::new();
        let mut at = 0;
        let mut body = bytes.len();
        while at < bytes.len() {
            let line = &bytes[at..];
            let Some(length) = line.windows(2).position(|pair| pair == b"\r\n") else {
                // A line that the limit cut, or the end without a line end: it counts as body.
                body = at;
                break;
            };
            if length == 0 {
                body = at + 2;
                break;
            }
            let line = &line[..length];
            if line[0] == b' ' || line[0] == b'\t' {
                let Some(last) = headers.last_mut() else {
                    body = at;
                    break;
                };
                last.end = at + length;
            } else if let Some(colon) = line.iter().position(|&byte| byte == b':').filter(|&colon| colon > 0) {
                headers.push(Header { start: at, colon: at + colon, end: at + length });
            } else {
                // Not a header: the body begins without its empty line, as sendmail and Postfix take it.
                body = at;
                break;
            }
            at += length + 2;
        }
        Self { bytes, headers, body }
    }

    /// Where the body begins.
    pub(crate) fn body(&self) -> usize {
        self.body
    }

    /// Name and value of the header with this number.
    pub(crate) fn get(&self, number: usize) -> Option<(&[u8], &[u8])> {
        let header = self.headers.get(number)?;
        let name = self.bytes[header.start..header.colon].trim_ascii_end();
        let value = &self.bytes[header.colon + 1..header.end];
        Some((name, value.strip_prefix(b" ").unwrap_or(value)))
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.headers.len()).filter_map(|number| self.get(number))
    }
}

impl Content for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let end = start.saturating_add(length).min(self.len());
        Ok(self[start..end].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Index {
        Index::new(text.as_bytes().to_vec())
    }

    #[test]
    fn headers_keep_their_folding() {
        let index = index("Subject: a\r\n b\r\nX-Empty:\r\n\r\nbody\r\n");
        let all: Vec<_> = index.iter().collect();
        assert_eq!(all, [(&b"Subject"[..], &b"a\r\n b"[..]), (b"X-Empty", b"")]);
        assert_eq!(index.body(), 28);
    }

    #[test]
    fn what_is_no_header_begins_the_body() {
        assert_eq!(index("A: b\r\nhello\r\n").body(), 6);
        assert_eq!(index(" folded first\r\n").body(), 0);
        assert_eq!(index("A: cut off").body(), 0);
        assert_eq!(index("").body(), 0);
    }
}
