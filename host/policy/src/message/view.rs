//! A message as a list of pieces, each a range of what was received or of what was put in.
//!
//! Nothing is copied: what isn't edited is read from where it always was.

use std::ops::Range;
use std::sync::Arc;

use super::content::Content;
use crate::unavailable::Unavailable;

/// A range of some content.
#[derive(Clone)]
pub(super) struct Piece {
    pub source: Arc<dyn Content>,
    pub range: Range<u64>,
    /// It is of the message as it was received.
    pub received: bool,
}

impl Piece {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// A message with edits.
pub(crate) struct View {
    pieces: Vec<Piece>,
    /// Where each piece begins, in the view; and the end of the last.
    starts: Vec<u64>,
    /// How large the message was when it was received.
    pub received: u64,
}

impl View {
    /// The message as it was received.
    pub(crate) fn received(content: Arc<dyn Content>) -> Self {
        let size = content.size();
        Self {
            pieces: vec![Piece { source: content, range: 0..size, received: true }],
            starts: vec![0, size],
            received: size,
        }
    }

    pub(super) fn of(pieces: Vec<Piece>, received: u64) -> Self {
        let mut at = 0;
        let mut starts = vec![0];
        starts.extend(pieces.iter().map(|piece| {
            at += piece.length();
            at
        }));
        Self { pieces, starts, received }
    }

    /// What stands before the message as it was received, if nothing else of it is changed, and
    /// this is at most `limit` bytes.
    pub(crate) fn prefix(&self, limit: usize) -> Option<Vec<u8>> {
        let (last, before) = self.pieces.split_last()?;
        let whole = last.received
            && last.range == (0..self.received)
            && before.iter().all(|piece| !piece.received);
        let length = usize::try_from(self.starts[before.len()])
            .ok()
            .filter(|length| whole && *length <= limit)?;
        self.read(0, length).ok()
    }

    /// The pieces of a range.
    pub(super) fn slice(&self, range: Range<u64>) -> impl Iterator<Item = Piece> {
        self.pieces.iter().zip(&self.starts).filter_map(move |(piece, start)| {
            let from = range.start.max(*start);
            let to = range.end.min(start + piece.length());
            (from < to).then(|| {
                let begin = piece.range.start + (from - start);
                Piece { range: begin..begin + (to - from), ..piece.clone() }
            })
        })
    }
}

impl Content for View {
    fn size(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        let end = self.size().min(offset.saturating_add(length as u64));
        let mut pieces = self.slice(offset..end).peekable();
        let mut read = Vec::new();
        while let Some(piece) = pieces.next() {
            let wanted = usize::try_from(piece.length()).unwrap_or(usize::MAX);
            let bytes = piece.source.read(piece.range.start, wanted)?;
            if bytes.len() != wanted {
                return Err(Unavailable("the message is shorter than it was".into()));
            }
            if read.is_empty() && pieces.peek().is_none() {
                return Ok(bytes);
            }
            read.extend_from_slice(&bytes);
        }
        Ok(read)
    }
}
