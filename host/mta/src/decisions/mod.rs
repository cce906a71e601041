//! What was decided, by whom and why: kept for a while, so that `facteur explain` can tell it.
//!
//! One record for each envelope (accepted, refused or left), for what was said to a client before one, and for each attempt to deliver. They are
//! written by a thread of their own into a bounded row of files, without a sync: no mail waits for them, and a crash may cost the last
//! ones. Under more load than the disk takes, records are left out, and that is told. They outlive the message, which the store forgets.

mod journal;
mod tale;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use facteur_policy::{SessionFacts, StoryStep};
use facteur_smtp::Address;
use facteur_spool::{QueueId, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::config::DecisionsSettings;
use journal::Journal;
pub use journal::find;
pub use tale::tell;

/// Records that wait to be written. More are left out.
const WAITING: usize = 8_192;
/// How long a record may lie in the buffer of the file.
const FLUSH: Duration = Duration::from_secs(1);

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was said before an envelope.
    Session,
    /// One envelope.
    Envelope,
    /// One attempt to deliver to one recipient.
    Delivery,
}

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The session, as in its log lines; none in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The queue id of the message, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Address of the client, and of the listener that it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<(String, String)>,
    /// What HELO or EHLO said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// The envelope sender; empty is the null sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The recipient of a delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// What was asked and answered on the way.
    pub steps: Vec<StoryStep>,
    /// What came out: the last reply, or what became of the recipient.
    pub outcome: String,
}

impl Record {
    /// Of an attempt, or of the way to one.
    pub fn delivery(id: QueueId, recipient: &Address, steps: Vec<StoryStep>, outcome: String) -> Self {
        Self {
            kind: Kind::Delivery,
            time: Timestamp::now().0,
            session: None,
            id: Some(id.to_string()),
            client: None,
            helo: None,
            sender: None,
            recipient: Some(recipient.to_string()),
            steps,
            outcome,
        }
    }

    /// Of a session, before an envelope or with one.
    pub fn session(kind: Kind, session: &SessionFacts, steps: Vec<StoryStep>, outcome: String) -> Self {
        Self {
            kind,
            time: Timestamp::now().0,
            session: Some(session.id.clone()),
            id: None,
            client: Some((session.client_ip().to_string(), session.listener.clone())),
            helo: session.helo(),
            sender: None,
            recipient: None,
            steps,
            outcome,
        }
    }
}

/// Takes records. Cheap to clone.
#[derive(Clone)]
pub struct Decisions {
    to_writer: Option<SyncSender<Order>>,
    left_out: Arc<AtomicU64>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

enum Order {
    Keep(Box<Record>),
    /// Everything before this is in the file when it is answered.
    Flush(oneshot::Sender<()>),
    Stop,
}

impl Decisions {
    /// Keeps nothing.
    pub fn off() -> Self {
        Self { to_writer: None, left_out: Arc::default(), thread: Arc::default() }
    }

    /// Keeps them in this folder; makes it.
    ///
    /// # Errors
    /// The folder can't be made or written to.
    pub fn open(folder: &Path, settings: DecisionsSettings) -> io::Result<Self> {
        if settings.size == 0 {
            return Ok(Self::off());
        }
        let mut journal = Journal::open(folder, settings)?;
        let (to_writer, orders) = sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let seen = left_out.clone();
        let thread = std::thread::Builder::new().name("decisions".into()).spawn(move || {
            let mut failing = false;
            loop {
                let result = match orders.recv_timeout(FLUSH) {
                    Ok(Order::Keep(record)) => journal.write(&record),
                    Ok(Order::Flush(done)) => {
                        let result = journal.flush();
                        // Nobody waits any more: that is no harm.
                        let _ = done.send(());
                        result
                    }
                    Err(RecvTimeoutError::Timeout) => journal.flush(),
                    Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => {
                        let _ = journal.flush();
                        return;
                    }
                };
                match result {
                    Err(error) if !failing => {
                        tracing::error!(folder = %journal.folder().display(), %error, "decisions can't be kept");
                        failing = true;
                    }
                    Ok(()) => failing = false,
                    Err(_) => {}
                }
                let left_out = seen.swap(0, Ordering::Relaxed);
                if left_out > 0 {
                    tracing::warn!(left_out, "too much at once: decisions are left out");
                }
            }
        })?;
        Ok(Self { to_writer: Some(to_writer), left_out, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Whether they are kept at all.
    pub fn is_on(&self) -> bool {
        self.to_writer.is_some()
    }

    /// Keeps one, if there is room; waits for nothing.
    pub fn keep(&self, record: Record) {
        if let Some(writer) = &self.to_writer
            && let Err(TrySendError::Full(_)) = writer.try_send(Order::Keep(Box::new(record)))
        {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when all that was kept before can be found.
    pub async fn flush(&self) {
        let Some(writer) = self.to_writer.clone() else { return };
        let (done, flushed) = oneshot::channel();
        // Sent from a thread of its own, since the way may be full. If the writer is gone, there is nothing to wait for.
        let sent = tokio::task::spawn_blocking(move || writer.send(Order::Flush(done))).await;
        if matches!(sent, Ok(Ok(()))) {
            let _ = flushed.await;
        }
    }

    /// Writes what waits. Blocks until it is done.
    pub fn close(&self) {
        let thread = self.thread.lock().take();
        if let (Some(writer), Some(thread)) = (&self.to_writer, thread) {
            let _ = writer.send(Order::Stop);
            // A panic in there has been told already.
            let _ = thread.join();
        }
    }
}
