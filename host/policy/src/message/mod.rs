//! A message as a plugin sees it: bytes read by ranges, and where its headers are.
//!
//! The bytes stay with whoever took the message in; this module only indexes headers, and only when
//! a plugin first asks. What a header is, and where they end, is [`facteur_smtp::Fields`]' rule.
//! What plugins change is in [`crate::message::edits`]: a message with edits is another message.

pub(crate) mod body;
pub(crate) mod edits;
pub(crate) mod header;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use facteur_smtp::Fields;

use crate::message::body::{Bodies, InMemory};
use crate::message::edits::View;
use crate::unavailable::Unavailable;

/// How much of a message is read at first to find its headers, in bytes: most have less.
const HEADERS_READ: usize = 8 * 1024;

/// The bytes of a message: lines end in CRLF, no dot-stuffing.
pub trait Content: Send + Sync + 'static {
    /// In bytes.
    fn size(&self) -> u64;
    /// At most `length` bytes from `offset`; fewer only at the end.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable>;
    /// The headers and the empty line that ends them; all of a message that has no body. As many as
    /// there are: whoever takes a message in bounds them ([`facteur_smtp::HeaderSection`]).
    fn headers(&self) -> Result<Vec<u8>, Unavailable> {
        let mut length = HEADERS_READ;
        loop {
            let mut bytes = self.read(0, length)?;
            let end = Fields::new(&bytes).body();
            if end.is_some() || bytes.len() < length {
                bytes.truncate(end.unwrap_or(bytes.len()));
                return Ok(bytes);
            }
            length = length.saturating_mul(4);
        }
    }
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
}

#[derive(Debug, Clone, Copy)]
struct Header {
    start: usize,
    name_end: usize,
    value: usize,
    value_end: usize,
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
        let bytes = self.content.headers()?;
        Ok(self.index.get_or_init(|| Index::new(bytes)))
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
    /// Of the headers of a message, with the empty line that ends them.
    fn new(bytes: Vec<u8>) -> Self {
        let header = |field: facteur_smtp::Field<'_>| Header {
            start: field.start,
            name_end: field.start + field.name.len(),
            value: field.colon + 1,
            value_end: field.colon + 1 + field.value.len(),
            end: field.end,
        };
        let headers: Vec<Header> = Fields::new(&bytes).map(header).collect();
        let end = headers.last().map_or(0, |last| last.end);
        Self { bytes, headers, end }
    }

    /// Where the headers end: at the empty line, or at the body where there is none.
    pub(crate) fn end(&self) -> u64 {
        self.end as u64
    }

    /// Where the body begins.
    pub(crate) fn body(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where each header stands, its line end included.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.headers.iter().map(|header| header.start as u64..header.end as u64)
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
        let name = &self.bytes[header.start..header.name_end];
        let value = &self.bytes[header.value..header.value_end];
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

    fn message(text: String) -> Message {
        Message::new(Arc::new(text.into_bytes()))
    }

    #[test]
    fn headers_keep_their_folding() {
        let message = message("Subject: a\r\n b\r\nX-Empty:\r\n\r\nbody\r\n".into());
        let index = message.index().unwrap();
        let all: Vec<_> = index.iter().collect();
        assert_eq!(all, [(&b"Subject"[..], &b"a\r\n b"[..]), (b"X-Empty", b"")]);
        assert_eq!((index.end(), index.body()), (26, 28));
    }

    #[test]
    fn headers_are_seen_however_long_they_are() {
        for count in [1, 100, 1_000, 100_000] {
            let headers = "A: b\r\n c\r\n".repeat(count);
            let whole = message(format!("{headers}X: y\r\n\r\nbody\r\n"));
            let index = whole.index().unwrap();
            assert_eq!(index.ranges().len(), count + 1);
            assert_eq!(index.body(), headers.len() as u64 + 8);
            assert_eq!(message(headers).index().unwrap().ranges().len(), count);
        }
    }
}
