//! What an operator may ask of the running program, and what it answers: JSON, a line each.

use std::io;

use facteur_policy::{Counted, Remembered};
use facteur_spool::Summary;
use serde::{Deserialize, Serialize};

use crate::decisions::Record;
use crate::simulation::{Dialogue, Recorded, Wanted};

/// What an operator may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// Every message in the queue.
    List,
    /// One message, with its content.
    Show {
        /// Its queue id.
        id: String,
    },
    /// Make messages due now.
    Flush(Which),
    /// Keep messages until released.
    Hold(Which),
    /// Put held messages back.
    Release(Which),
    /// Remove messages, without a bounce.
    Delete(Which),
    /// Load the configuration anew.
    Reload,
    /// What was decided about a message or in a session, and why.
    Explain {
        /// A queue id, or the name of a session as the log has it.
        id: String,
    },
    /// Play a session to the plugins, without effect.
    Try(Dialogue),
    /// Hand over sessions as they end, until nobody reads them any more.
    Record(Wanted),
    /// The plugins in force.
    Plugins,
}

/// Which messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    /// A queue id; none means all.
    pub id: Option<String>,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// A message in a listing.
    Message(Entry),
    /// A piece of a message's content.
    Content {
        /// Text as near as it goes: mail is bytes.
        text: String,
    },
    /// How many messages it touched.
    Count {
        /// Messages.
        count: u64,
    },
    /// Something that was decided.
    Decided(Box<Record>),
    /// A session, whole.
    Recorded(Box<Recorded>),
    /// A plugin in force.
    Plugin(Box<PluginEntry>),
    /// It was done.
    Done,
    /// It wasn't.
    Failed {
        /// Why, a line each.
        errors: Vec<String>,
    },
}

/// A message in the queue, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Queue id.
    pub id: String,
    /// Milliseconds since 1970.
    pub received_at: u64,
    /// Octets.
    pub size: u64,
    /// Empty is the null sender.
    pub sender: String,
    /// Why it is held or corrupt.
    pub reason: Option<String>,
    /// Its recipients: the first thousand.
    pub recipients: Vec<EntryRecipient>,
    /// How many there are.
    pub recipient_count: u64,
}

/// A recipient of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRecipient {
    /// Where it goes.
    pub address: String,
    /// queued, hold, quarantine, corrupt.
    pub state: String,
    /// Milliseconds since 1970.
    pub next_try: u64,
    /// How often it was deferred.
    pub attempts: u32,
    /// Why it is still here.
    pub last_reply: Option<String>,
    /// Who said so.
    pub remote: Option<String>,
}

impl From<Summary> for Entry {
    fn from(summary: Summary) -> Self {
        let recipient = |one: facteur_spool::SummaryRecipient| EntryRecipient {
            address: one.address,
            state: one.state,
            next_try: one.next_try.0,
            attempts: one.attempts,
            last_reply: one.last_reply,
            remote: one.remote,
        };
        Self {
            id: summary.queue_id.to_string(),
            received_at: summary.received_at.0,
            size: summary.size,
            sender: summary.sender,
            reason: summary.reason,
            recipients: summary.recipients.into_iter().map(recipient).collect(),
            recipient_count: summary.recipient_count,
        }
    }
}

/// A plugin in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginEntry {
    /// Its name in chains and logs.
    pub name: String,
    /// `builtin:NAME`, or the path of its component.
    pub component: String,
    /// As its author wrote it into the component.
    pub version: Option<String>,
    /// SHA-256 of the component.
    pub hash: String,
    /// The hooks that it is asked.
    pub hooks: Vec<String>,
    /// What it may do, in words.
    pub grants: Vec<String>,
    /// Whether its answers decide.
    pub mode: String,
    /// How long its instances live: `transaction` or `shared`.
    pub isolation: String,
    /// What its failure means to a session: `defer`, `reject`, or `pass` (it fails open).
    pub on_error: String,
    /// What it may use.
    pub limits: Limits,
    /// What it has been asked, and how it did.
    #[serde(flatten)]
    pub counted: Counted,
    /// What is remembered of its answers.
    #[serde(default)]
    pub remembered: Remembered,
}

/// What a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Linear memory of a sandbox, in bytes.
    pub memory: usize,
    /// A question, waiting included, in milliseconds.
    pub timeout_ms: u64,
    /// Computing alone, in milliseconds.
    pub cpu_ms: u64,
    /// Sandboxes at once.
    pub concurrency: usize,
    /// How many sandboxes of the pool each of them counts as.
    pub weight: u32,
}

/// Takes the answers to a request, one after the other.
pub trait Sink {
    /// One line of the answer. An error ends the request.
    fn put(&mut self, answer: Answer) -> impl Future<Output = io::Result<()>> + Send;
}
