//! What content plugins change in a message, and the message with it.
//!
//! The edits of one plugin are a [`Draft`] until it has answered; then they become a [`View`]: a
//! list of pieces, each a range of what was received or of what was put in. Nothing is copied but
//! the new headers, and what isn't edited is read from where it always was.
//!
//! Whatever the edits: the headers stay headers and the body stays the body. Where a message has no
//! empty line between them, one is put there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::body::{Bodies, BodyError, Writing};
use super::content::Content;
use super::edited::Message;
use super::folding::header_line;
use super::index::Index;
use super::view::{Piece, View};

/// Edits of headers by one plugin: more than a message has headers.
const EDITS_LIMIT: usize = 1_000;
/// New headers of one plugin, in bytes (the contract says so): more than honest mail has.
const BYTES_LIMIT: usize = 100 * 1024;

/// The edits of one plugin, before it has answered.
#[derive(Default)]
pub(crate) struct Draft {
    /// Before the header with this number.
    inserted: BTreeMap<usize, Vec<Vec<u8>>>,
    /// What stands in place of the header with this number, if anything.
    changed: BTreeMap<usize, Option<Vec<u8>>>,
    /// After all headers.
    added: Vec<Vec<u8>>,
    body: Body,
    edits: usize,
    bytes: usize,
}

#[derive(Default)]
enum Body {
    #[default]
    Kept,
    Coming(Writing),
    New(Arc<dyn Content>),
}

/// An edit that isn't made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EditError {
    /// It breaks the contract: a trap that says how.
    Broken(&'static str),
    /// There are as many already as may be.
    Limit(String),
    /// The new body can't be kept.
    Body(BodyError),
}

impl Draft {
    /// After all others.
    pub(crate) fn add(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        let line = self.line(name, value)?;
        self.added.push(line);
        Ok(())
    }

    /// Before the one with this number, or after all of them.
    pub(crate) fn insert(
        &mut self,
        index: &Index,
        number: u32,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let line = self.line(name, value)?;
        let number = index.ranges().len().min(number as usize);
        self.inserted.entry(number).or_default().push(line);
        Ok(())
    }

    /// In place of this one, which keeps its name as it is written.
    pub(crate) fn replace(
        &mut self,
        index: &Index,
        name: &str,
        occurrence: u32,
        value: &str,
    ) -> Result<bool, EditError> {
        let line = self.line(name, value)?;
        let Some(number) = index.named(name).nth(occurrence as usize) else { return Ok(false) };
        self.changed.insert(number, Some(line));
        Ok(true)
    }

    /// Without this one, or all of the name.
    pub(crate) fn remove(
        &mut self,
        index: &Index,
        name: &str,
        occurrence: Option<u32>,
    ) -> Result<u32, EditError> {
        self.count(0)?;
        let named = || index.named(name);
        let numbers: Vec<usize> = match occurrence {
            Some(occurrence) => named().nth(occurrence as usize).into_iter().collect(),
            None => named().collect(),
        };
        self.changed.extend(numbers.iter().map(|number| (*number, None)));
        Ok(u32::try_from(numbers.len()).unwrap_or(u32::MAX))
    }

    fn line(&mut self, name: &str, value: &str) -> Result<Vec<u8>, EditError> {
        let line = header_line(name, value);
        self.count(line.len())?;
        Ok(line)
    }

    fn count(&mut self, bytes: usize) -> Result<(), EditError> {
        self.edits += 1;
        self.bytes += bytes;
        if self.edits > EDITS_LIMIT {
            return Err(EditError::Limit(format!("{EDITS_LIMIT} edits of headers")));
        }
        if self.bytes > BYTES_LIMIT {
            return Err(EditError::Limit(format!("{BYTES_LIMIT} bytes of new headers")));
        }
        Ok(())
    }

    /// The next chunk of a new body.
    pub(crate) async fn replace_body(
        &mut self,
        bodies: &dyn Bodies,
        chunk: &[u8],
        last: bool,
    ) -> Result<(), EditError> {
        let mut writing = match std::mem::take(&mut self.body) {
            Body::Kept => Writing::new(bodies),
            Body::Coming(writing) => writing,
            Body::New(_) => return Err(EditError::Broken("a chunk after the last one of a body")),
        };
        writing.write(chunk).await.map_err(EditError::Body)?;
        self.body = if last {
            Body::New(writing.finish().await.map_err(EditError::Body)?)
        } else {
            Body::Coming(writing)
        };
        Ok(())
    }

    /// In words, for the log; empty where nothing was edited.
    pub(crate) fn told(&self) -> String {
        let mut words = Vec::new();
        let count = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let inserted: usize = self.inserted.values().map(Vec::len).sum();
        words.extend(count(self.added.len() + inserted, "headers put in"));
        words
            .extend(count(self.changed.values().filter(|line| line.is_some()).count(), "replaced"));
        words.extend(count(
            self.changed.values().filter(|line| line.is_none()).count(),
            "taken out",
        ));
        if matches!(self.body, Body::New(_)) {
            words.push("another body".into());
        }
        words.join(", ")
    }

    fn has_headers(&self) -> bool {
        !(self.inserted.is_empty() && self.changed.is_empty() && self.added.is_empty())
    }

    /// The message with these edits; none if there are none.
    pub(crate) fn apply(self, message: &Message) -> Result<Option<Message>, String> {
        let has_headers = self.has_headers();
        let new_body = match self.body {
            Body::Kept if !has_headers => return Ok(None),
            Body::Kept => None,
            Body::Coming(_) => return Err("an answer before the last chunk of a body".into()),
            Body::New(content) => Some(content),
        };
        let index = message.index().map_err(|error| error.to_string())?;
        let view = message.view();
        let mut made = Made { view: &view, pieces: Vec::new(), kept: 0..0 };
        let mut inserted = self.inserted.into_iter().peekable();
        let mut changed = self.changed;
        for (number, range) in index.ranges().enumerate() {
            while let Some((_, lines)) = inserted.next_if(|(before, _)| *before <= number) {
                made.put(lines);
            }
            match changed.remove(&number) {
                None => made.keep(range),
                Some(line) => made.put(line),
            }
        }
        made.put(inserted.flat_map(|(_, lines)| lines));
        made.put(self.added);

        let (end, body, size) = (index.end(), index.body(), view.size());
        let parted = end < body;
        if !parted && (new_body.is_some() || has_headers && body < size) {
            made.put([b"\r\n".to_vec()]);
        }
        match new_body {
            None => made.keep(end..size),
            Some(content) => {
                made.keep(end..body);
                made.append(content);
            }
        }
        let received = view.received;
        let pieces = made.finish();
        Ok(Some(message.with(View::of(pieces, received))))
    }
}

/// The pieces of a message that is being made of another one.
struct Made<'a> {
    view: &'a View,
    pieces: Vec<Piece>,
    /// What is kept of the other one, up to here, and isn't a piece yet.
    kept: Range<u64>,
}

impl Made<'_> {
    fn keep(&mut self, range: Range<u64>) {
        if self.kept.end == range.start {
            self.kept.end = range.end;
        } else {
            self.flush();
            self.kept = range;
        }
    }

    fn put(&mut self, lines: impl IntoIterator<Item = Vec<u8>>) {
        let bytes: Vec<u8> = lines.into_iter().flatten().collect();
        if !bytes.is_empty() {
            self.append(Arc::new(bytes));
        }
    }

    fn append(&mut self, source: Arc<dyn Content>) {
        self.flush();
        let range = 0..source.size();
        self.pieces.push(Piece { source, range, received: false });
    }

    fn flush(&mut self) {
        let kept = std::mem::replace(&mut self.kept, 0..0);
        self.pieces.extend(self.view.slice(kept));
    }

    fn finish(mut self) -> Vec<Piece> {
        self.flush();
        self.pieces
    }
}

#[cfg(test)]
mod tests;
