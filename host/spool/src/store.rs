//! The narrow door between the spool's mechanism and a database: apply a batch in one commit,
//! checkpoint, and the reads.
//!
//! Synchronous; the committer thread calls `apply`, the housekeeper `checkpoint` and `reclaim`,
//! anyone the reads.

use std::time::Duration;

use crate::{
    Destination, Due, Message, NewMessage, QueueId, Queued, RecipientId, RecipientUpdate,
    Selection, SpoolError, Summary, Timestamp,
};

/// Messages that one write of a change to all of them touches, so that no other write waits long
/// for it.
pub(crate) const CHANGE_PAGE: usize = 500;

/// One write, as a caller asked for it. Borrowed while it is applied, so that a batch can be tried
/// again.
#[derive(Debug)]
pub(crate) enum Write {
    Insert(Box<NewMessage>),
    Record { outcomes: Vec<RecipientUpdate>, notices: Vec<NewMessage> },
    Change { change: Change, pick: Pick },
    Corrupt { queue_id: QueueId, reason: String },
}

impl Write {
    /// Whether it takes room for something new. The others may use the reserve.
    pub(crate) fn needs_room(&self) -> bool {
        matches!(self, Self::Insert(_))
    }

    /// The messages that it brings in.
    pub(crate) fn messages(&self) -> &[NewMessage] {
        match self {
            Self::Insert(message) => std::slice::from_ref(message),
            Self::Record { notices, .. } => notices,
            Self::Change { .. } | Self::Corrupt { .. } => &[],
        }
    }
}

/// What an operator does to messages.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Hold {
        reason: String,
    },
    /// Those in quarantine too?
    Release {
        quarantine: bool,
    },
    Flush {
        now: Timestamp,
    },
    /// All that is due later than now is due so much earlier, but not before now; what came in
    /// later than now, now.
    Earlier {
        by: Duration,
        now: Timestamp,
    },
    Delete,
}

/// Which messages one write changes: one, or the first [`CHANGE_PAGE`] after a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick {
    Message(QueueId),
    After(Option<QueueId>),
}

impl Pick {
    pub(crate) fn first(selection: Selection) -> Self {
        match selection {
            Selection::All => Self::After(None),
            Selection::Message(queue_id) => Self::Message(queue_id),
        }
    }
}

/// What one write brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// One for each message that the write brought in.
    Queued(Vec<Queued>),
    /// How many messages were changed, and the last one of the page if there may be more.
    Changed {
        messages: u64,
        more_after: Option<QueueId>,
    },
    Done,
}

/// What a batch brought: one answer for each write, in order, and the body files that nothing names
/// any more.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub answers: Vec<Result<Written, SpoolError>>,
    pub unlink: Vec<String>,
}

/// A database under the spool. Errors are [`SpoolError::Full`], which leaves everything as it was,
/// or [`SpoolError::Fatal`], after which nothing is called any more.
pub(crate) trait Store: Send + Sync + 'static {
    /// Applies the writes in order, in one commit that is on the disk when this returns. A write
    /// that can't be done is answered with its error and leaves no trace; the others are unharmed.
    fn apply(&self, batch: &[Write]) -> Result<Applied, SpoolError>;
    /// Moves what is in the log to its place in the database, and begins the log anew where no
    /// reader needs it.
    fn checkpoint(&self) -> Result<(), SpoolError>;
    /// Gives some unused space of the database back to the file system; whether there is more.
    fn reclaim(&self) -> Result<bool, SpoolError>;

    fn load(
        &self,
        queue_id: QueueId,
        recipients: Option<&[RecipientId]>,
    ) -> Result<Option<Message>, SpoolError>;
    fn destinations(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Destination>, SpoolError>;
    fn untold(&self) -> Result<Vec<QueueId>, SpoolError>;
    fn due(
        &self,
        domain: &str,
        now: Timestamp,
        after: Option<(Timestamp, RecipientId)>,
        limit: usize,
    ) -> Result<Due, SpoolError>;
    fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Summary>, SpoolError>;
    /// The names of the body files that rows name, by pages: the names after this one, in order.
    fn files(&self, after: &str, limit: usize) -> Result<Vec<String>, SpoolError>;
}
