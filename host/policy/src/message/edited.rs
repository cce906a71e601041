//! A message as plugins see it, with the edits of those that were asked so far.
//!
//! The bytes stay with whoever took the message in; headers are indexed only when a plugin first
//! asks. A message with edits is another message.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::body::{Bodies, InMemory};
use super::content::Content;
use super::index::Index;
use super::view::View;
use crate::unavailable::Unavailable;

/// A message, with the edits of the plugins that were asked so far, and its header index.
#[derive(Clone)]
pub struct Message {
    pub(crate) content: Arc<dyn Content>,
    index: Arc<OnceLock<Index>>,
    /// What `content` is made of, once there are edits.
    edited: Option<Arc<View>>,
    bodies: Option<Arc<dyn Bodies>>,
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
