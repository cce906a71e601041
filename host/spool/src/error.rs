//! What can go wrong at the spool's door, and what an SMTP client hears then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use facteur_smtp::{Reply, status};

use crate::id::{NoRandomNumbers, QueueId};

/// Why the spool did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    /// No room for another message. Nothing was written; it passes when there is room again.
    #[error("the spool has no space: make some on its file system")]
    Full,
    /// An error of commit, checkpoint or sync. Nothing more is written; the program must end
    /// without touching the spool again, and the next open checks it.
    #[error("the spool failed and takes nothing more until a restart: {0}")]
    Fatal(Arc<str>),
    /// [`crate::Spool::close`] was called.
    #[error("the spool is closed")]
    Closed,
    /// More recipients, or a larger header, than the store can hold.
    #[error("the message is too large for the store: {0}")]
    TooLarge(Arc<str>),
    /// What the store holds of this message can't be read. It is kept in the state `corrupt` and
    /// not tried again until it is released.
    #[error("message {queue_id} is corrupt: {reason}")]
    Corrupt {
        /// Which message.
        queue_id: QueueId,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// The store refused this one write, which is a defect of the program; the writes around it are
    /// unharmed.
    #[error("the store refused a write: {0}")]
    Refused(Arc<str>),
    /// The store can't be read at the moment (no file descriptor is free, say). Nothing is lost.
    #[error("the store can't be read now: {0}")]
    Unavailable(Arc<str>),
    /// Another process has the spool open.
    #[error(
        "{path}: another facteur{holder} runs on this spool; stop it, or give this one a [spool] \
         path of its own"
    )]
    Locked {
        /// The spool's directory.
        path: PathBuf,
        /// ` (process 1234)`, or nothing where it isn't known.
        holder: String,
    },
    /// Others may write to the spool's directory, or to what is in it.
    #[error(
        "{path}: others may write to it (it belongs to the user {owner}, with the mode {mode:o}), \
         and so to the mail in it; `chown` it to the user who runs facteur, and `chmod go-w` it"
    )]
    Open {
        /// What they may write to.
        path: PathBuf,
        /// The number of its owner.
        owner: u32,
        /// Its permissions.
        mode: u32,
    },
    /// The spool was written by a newer facteur.
    #[error(
        "{path}: the schema has version {found}, this facteur knows up to {known}; run the newer \
         facteur"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version in the database.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The integrity check after an unclean end found damage.
    #[error(
        "{path}: the database is damaged ({finding}); keep a copy, then save what can be read with \
         `sqlite3 {path} .recover`"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The first thing that the check found.
        finding: Arc<str>,
    },
    /// A file or directory of the spool can't be made, opened or read.
    #[error("{path}: {error}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: Arc<std::io::Error>,
    },
}

impl From<NoRandomNumbers> for SpoolError {
    /// Nothing can be named any more, so that nothing can be stored.
    fn from(error: NoRandomNumbers) -> Self {
        Self::fatal(error.to_string())
    }
}

impl SpoolError {
    pub(crate) fn fatal(reason: impl Into<String>) -> Self {
        Self::Fatal(reason.into().into())
    }

    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), error: Arc::new(error) }
    }

    /// An error of writing or syncing: a full disk passes, anything else is the end.
    pub(crate) fn sync(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => Self::Full,
            _ => Self::fatal(format!("{}: {error}", path.display())),
        }
    }

    /// What an SMTP client hears. Postfix's words and codes where it has some.
    pub fn reply(&self) -> Reply {
        match self {
            Self::Full => Reply::new(452, status::SYSTEM_FULL, "Insufficient system storage"),
            Self::TooLarge(_) => Reply::new(552, status::TOO_BIG, "Message too large"),
            Self::Closed => Reply::new(421, status::NOT_ACCEPTING, "Service shutting down"),
            _ => Reply::new(451, status::SYSTEM, "Error: queue file write error"),
        }
    }

    /// The word that metrics and logs count it under.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Fatal(_) => "fatal",
            Self::Closed => "closed",
            Self::TooLarge(_) => "too-large",
            Self::Corrupt { .. } => "corrupt",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
            Self::Locked { .. } => "locked",
            Self::Open { .. } => "open",
            Self::Newer { .. } => "newer",
            Self::Damaged { .. } => "damaged",
            Self::Io { .. } => "io",
        }
    }

    /// Whether the spool is lost for this process.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal(_))
    }
}
