//! Takes records and hands them to the thread that writes them.
//!
//! Whoever decides never waits: what is too much at once is left out and counted.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::journal::Journal;
use super::record::Record;
use crate::config::DecisionsSettings;

/// Records that wait to be written. More are left out.
const WAITING: usize = 8_192;
/// How long records gather before they are written together: to wake the writer for each would cost
/// those who decide more than all the writing.
const GATHER: Duration = Duration::from_millis(100);
/// How often the writer looks, with nothing to write, whether its file is old.
const LOOK: Duration = Duration::from_secs(1);

/// Takes records. Cheap to clone.
#[derive(Clone)]
pub struct Decisions {
    writer: Option<Writer>,
    left_out: Arc<AtomicU64>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// The way to the writer.
#[derive(Clone)]
struct Writer {
    orders: SyncSender<Order>,
    thread: Thread,
}

impl Writer {
    /// Has something done at once. Blocks while the way is full; false if the writer is gone.
    fn hurry(&self, order: Order) -> bool {
        let sent = self.orders.send(order).is_ok();
        self.thread.unpark();
        sent
    }
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
        Self { writer: None, left_out: Arc::default(), thread: Arc::default() }
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
                let first = orders.recv_timeout(LOOK);
                if matches!(first, Ok(Order::Keep(_))) {
                    // Cut short by whoever waits for an answer.
                    std::thread::park_timeout(GATHER);
                }
                let mut stopping = matches!(first, Err(RecvTimeoutError::Disconnected));
                let mut waiting = Vec::new();
                let mut result = Ok(());
                // No more than there is room for at once: else whoever waits for an answer waits as
                // long as others go on.
                for order in first.into_iter().chain(orders.try_iter().take(WAITING)) {
                    match order {
                        Order::Keep(record) => result = result.and(journal.write(&record)),
                        Order::Flush(done) => waiting.push(done),
                        Order::Stop => stopping = true,
                    }
                }
                result = result.and(journal.flush());
                for done in waiting {
                    // Nobody waits any more: that is no harm.
                    let _ = done.send(());
                }
                match result {
                    Err(error) if !failing => {
                        tracing::error!(folder = %journal.folder().display(), %error, "decisions \
                         can't be kept");
                        failing = true;
                    }
                    Ok(()) => failing = false,
                    Err(_) => {}
                }
                let left_out = seen.swap(0, Ordering::Relaxed);
                if left_out > 0 {
                    tracing::warn!(left_out, "too much at once: decisions are left out");
                }
                if stopping {
                    return;
                }
            }
        })?;
        let writer = Writer { orders: to_writer, thread: thread.thread().clone() };
        Ok(Self { writer: Some(writer), left_out, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Whether they are kept at all.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Keeps one, if there is room; waits for nothing.
    pub fn keep(&self, record: Record) {
        if let Some(writer) = &self.writer
            && let Err(TrySendError::Full(_)) =
                writer.orders.try_send(Order::Keep(Box::new(record)))
        {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when all that was kept before can be found.
    pub async fn flush(&self) {
        let Some(writer) = self.writer.clone() else { return };
        let (done, flushed) = oneshot::channel();
        // Sent from a thread of its own, since the way may be full. If the writer is gone, there is
        // nothing to wait for.
        let sent = tokio::task::spawn_blocking(move || writer.hurry(Order::Flush(done))).await;
        if matches!(sent, Ok(true)) {
            let _ = flushed.await;
        }
    }

    /// Writes what waits. Blocks until it is done.
    pub fn close(&self) {
        let thread = self.thread.lock().take();
        if let (Some(writer), Some(thread)) = (&self.writer, thread) {
            writer.hurry(Order::Stop);
            // A panic in there has been told already.
            let _ = thread.join();
        }
    }
}
