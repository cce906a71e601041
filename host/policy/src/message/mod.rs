//! A message as a plugin sees it: bytes read by ranges, and where its headers are.
//!
//! The bytes stay with whoever took the message in; this module only indexes headers, and only when
//! a plugin first asks. What plugins change is in [`crate::message::edits`]: a message with edits is another
//! message.

pub(crate) mod body;
pub(crate) mod edits;
pub(crate) mod header;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::message::body::{Bodies, InMemory};
use crate::message::edits::View;
use crate::message::header::is_name;
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

/// A message, with the edits of the plugins that were asked so far, and its header index.
#[derive(Clone)]
pub struct Message {
    pub(crate) content: Arc<dyn Content>,
    index: Arc<OnceLock<Index>>,
    /// What `content` is made of, once there are edits.
    edited: Option<Arc<View>>,
    bodies: Option<Arc<dyn Bodies>>,
}

/// Headers: the bytes, and where each stands in them.
#[derive(Debug)]
pub(crate) struct Index {
    bytes: Vec<u8>,
    headers: Vec<Header>,
    end: usize,
    body: usize,
    is_cut: bool,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    start: usize,
    colon: usize,
    end: usize,
}

impl Message {
    /// Wraps the content. New bodies are kept in memory, and may not be large.
    pub fn new(content: Arc<dyn Content>) -> Self {
        Self { content, index: Arc::default(), edited: None, bodies: None }
    }

    /// The same, with somebody who keeps new bodies.
    #[must_use]
    pub fn storing(self, bodies: Arc<dyn Bodies>) -> Self {
        Self { bodies: Some(bodies), ..self }
    }

    /// The message with these edits.
    pub(crate) fn with(&self, view: View) -> Self {
        let view = Arc::new(view);
        Self {
            content: view.clone(),
            index: Arc::default(),
            edited: Some(view),
            bodies: self.bodies.clone(),
        }
    }

    /// What it is made of.
    pub(crate) fn view(&self) -> Arc<View> {
        self.edited.clone().unwrap_or_else(|| Arc::new(View::received(self.content.clone())))
    }

    /// What plugins made of it, if they changed anything.
    pub(crate) fn edited(&self) -> Option<Edited> {
        self.edited.clone().map(Edited)
    }

    /// Who keeps new bodies.
    pub(crate) fn bodies(&self) -> Arc<dyn Bodies> {
        self.bodies.clone().unwrap_or_else(|| Arc::new(InMemory))
    }

    pub(crate) fn index(&self) -> Result<&Index, Unavailable> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let bytes = self.content.read(0, HEADER_LIMIT)?;
        let is_whole = bytes.len() as u64 == self.content.size();
        Ok(self.index.get_or_init(|| Index::new(bytes, is_whole)))
    }
}

/// What plugins made of a message: another one.
pub struct Edited(Arc<View>);

impl Edited {
    /// What stands before the message as it was received, if nothing else of it is changed, and
    /// this is at most `limit` bytes.
    pub fn prefix(&self, limit: usize) -> Option<Vec<u8>> {
        self.0.prefix(limit)
    }

    /// All of it. It reads from the message as it was received.
    pub fn content(&self) -> &dyn Content {
        &*self.0
    }
}

impl fmt::Debug for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edited").field("size", &self.0.size()).finish_non_exhaustive()
    }
}

impl Index {
    /// Of the first bytes of a message; whether these are all.
    fn new(bytes: Vec<u8>, is_whole: bool) -> Self {
        let mut headers: Vec<Header> = Vec::new();
        let mut at = 0;
        let mut is_cut = false;
        let body = loop {
            let line = &bytes[at..];
            let Some(length) = line.windows(2).position(|pair| pair == b"\r\n") else {
                // A line that the limit cut, or the end without a line end: it counts as body.
                is_cut = !is_whole;
                break at;
            };
            if length == 0 {
                break at + 2;
            }
            let line = &line[..length];
            if line[0] == b' ' || line[0] == b'\t' {
                let Some(last) = headers.last_mut() else { break at };
                last.end = at + length;
            } else if let Some(colon) = line.iter().position(|&byte| byte == b':')
                && is_name(line[..colon].trim_ascii_end())
            {
                headers.push(Header { start: at, colon: at + colon, end: at + length });
            } else {
                // Not a header: the body begins without its empty line, as sendmail and Postfix
                // take it.
                break at;
            }
            at += length + 2;
        };
        let mut index = Self { bytes, headers, end: at.min(body), body, is_cut };
        if is_cut && index.bytes.get(at).is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            // The rest of the last header may be beyond the limit.
            if let Some(last) = index.headers.pop() {
                (index.end, index.body) = (last.start, last.start);
            }
        }
        index
    }

    /// Where the headers end: at the empty line, or at the body where there is none.
    pub(crate) fn end(&self) -> u64 {
        self.end as u64
    }

    /// Where the body begins.
    pub(crate) fn body(&self) -> u64 {
        self.body as u64
    }

    /// Whether there are more headers than count as such: the rest of them is in the body.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Where each header stands, its line end included.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.headers.iter().map(|header| header.start as u64..header.end as u64 + 2)
    }

    /// The numbers of the headers of this name, in any case.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        let is_named = move |(number, (known, _)): (usize, (&[u8], &[u8]))| {
            known.eq_ignore_ascii_case(name.as_bytes()).then_some(number)
        };
        self.iter().enumerate().filter_map(is_named)
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
        Index::new(text.as_bytes().to_vec(), true)
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
        assert_eq!(index("A: b\r\nFrom me: c\r\n").body(), 6);
        assert_eq!(index("A: b\r\nX\u{e9}: c\r\n").body(), 6);
    }

    #[test]
    fn a_header_that_the_limit_cuts_is_none() {
        let cut = |text: &str| {
            let index = Index::new(text.as_bytes().to_vec(), false);
            (index.headers.len(), index.body())
        };
        assert_eq!(cut("A: b\r\nB: c"), (1, 6));
        assert_eq!(cut("A: b\r\nB: c\r\n d"), (1, 6));
        // What comes next isn't known.
        assert_eq!(cut("A: b\r\nB: c\r\n"), (1, 6));
        assert_eq!(cut("A: b\r\nB: c\r\n\r"), (1, 6));
        assert_eq!(cut("A: b\r\n\r\nB: c\r\n"), (1, 8));
    }
}
