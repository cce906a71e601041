//! A chunk of BDAT (RFC 3030): so many octets, content or to be skipped.

use crate::reply::Reply;

/// How far a message by BDAT is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Chunking {
    /// No BDAT in this transaction.
    #[default]
    None,
    /// Chunks come in.
    Receiving,
    /// A chunk was refused; those after it are skipped until LAST or RSET.
    Failed,
}

/// The chunk that is coming in.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Octets as the command said.
    pub(crate) size: u64,
    /// Octets still to come.
    pub(crate) left: u64,
    /// Whether it ends the message.
    pub(crate) last: bool,
    /// The octets are skipped, and this is the answer.
    pub(crate) refusal: Option<Box<Reply>>,
}

impl Chunk {
    pub(crate) fn new(size: u64, last: bool) -> Self {
        Self { size, left: size, last, refusal: None }
    }

    /// How many of so many octets of input are the chunk's.
    pub(crate) fn available(&self, input: usize) -> usize {
        usize::try_from(self.left).map_or(input, |left| left.min(input))
    }

    /// So many were taken.
    pub(crate) fn took(&mut self, octets: usize) {
        // A usize fits a u64 on every platform that Rust has; saturating says so without a panic.
        self.left = self.left.saturating_sub(u64::try_from(octets).unwrap_or(u64::MAX));
    }
}
