//! The door: what sessions, the queue and the operator ask, from async code.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::body::blocking;
use crate::committer::{self, Chore, Request, Shared};
use crate::disk_space::DiskSpace;
use crate::folder::Folder;
use crate::inbox::Inbox;
use crate::sqlite::Sqlite;
use crate::store::{Change, Pick, Store, Write, Written};
use crate::sweep::sweep;
use crate::{
    BodyWriter, Destination, Due, Message, NewMessage, QueueId, Queued, RecipientId,
    RecipientUpdate, Selection, SpoolError, Summary, Timestamp,
};

/// Destinations that are read at once.
const DESTINATIONS_PAGE: usize = 10_000;

/// So many times what the log should take is in the reserve: all that is in it may have to go into
/// the database, and it may be twice as long for a while.
const RESERVE_TO_LOG: u64 = 4;

/// Where a spool is and how large things may be.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// Its directory; made where there is none, private to the user.
    pub path: PathBuf,
    /// The largest message, in octets: no message is taken unless one and a half of these fit on
    /// the disk.
    pub message_limit: u64,
    /// Octets kept back so that outcomes can be written on a full disk.
    pub reserve: u64,
    /// Octets, about, that gather in the log before they are moved into the database. More of them
    /// means less written twice and a longer start after a crash. A small reserve makes it less.
    pub log: u64,
}

impl SpoolConfig {
    /// The defaults: messages of 10,240,000 octets, a reserve of 64 MiB, a log of 16 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), message_limit: 10_240_000, reserve: 64 << 20, log: 16 << 20 }
    }
}

/// The durable queue store. Clones are the same spool; the last one dropped without
/// [`Spool::close`] leaves it like a crash would, with nothing lost.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    chores: Mutex<Option<mpsc::Sender<Chore>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The last queue id given.
    last: Mutex<QueueId>,
    /// Ours until the threads have ended.
    folder: Folder,
}

impl Drop for Inner {
    /// Waits for the writes that were asked for, so that the directory is free when this returns.
    fn drop(&mut self) {
        self.shared.requests.close();
        self.join();
    }
}

impl Inner {
    /// Waits for the threads to end: the committer has no more requests, and the housekeeper gets
    /// no more chores.
    fn join(&self) {
        self.chores.lock().take();
        for thread in self.threads.lock().drain(..) {
            // A panic there has been told as a failure.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("path", &self.inner.folder.path()).finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens the spool, makes it where there is none, checks it after an unclean end and sweeps
    /// what a crash left. Blocks; call it before there is traffic.
    pub fn open(config: &SpoolConfig) -> Result<Self, SpoolError> {
        let folder = Folder::claim(&config.path)?;
        let store = Sqlite::open(&folder.database(), folder.bodies(), !folder.was_clean())?;
        Self::with_store(config, folder, Arc::new(store))
    }

    pub(crate) fn with_store(
        config: &SpoolConfig,
        folder: Folder,
        store: Arc<dyn Store>,
    ) -> Result<Self, SpoolError> {
        let swept = sweep(folder.bodies(), &*store)?;
        if swept > 0 {
            tracing::info!(files = swept, "body files that nothing named were removed");
        }
        let space =
            Arc::new(DiskSpace::new(folder.reserve(), config.reserve, config.message_limit));
        space.make_reserve()?;
        let shared = Arc::new(Shared {
            requests: Inbox::new(),
            store,
            space,
            bodies: folder.bodies().clone(),
            log: config.log.min(config.reserve / RESERVE_TO_LOG),
            logged: AtomicU64::new(0),
            failed: watch::Sender::new(None),
        });
        let (chores, chore_receiver) = mpsc::channel();
        let mut threads = Vec::with_capacity(2);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .map_err(|error| SpoolError::io(folder.path(), error))
        };
        threads.push(spawn("spool-house", {
            let shared = shared.clone();
            Box::new(move || committer::keep_house(&shared, &chore_receiver))
        })?);
        threads.push(spawn("spool-commit", {
            let (shared, chores) = (shared.clone(), chores.clone());
            Box::new(move || committer::commit(&shared, &chores))
        })?);
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                chores: Mutex::new(Some(chores)),
                threads: Mutex::new(threads),
                last: Mutex::default(),
                folder,
            }),
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.inner.folder.path()
    }

    /// A name for a new message: none that this process gives twice within days.
    pub fn queue_id(&self) -> QueueId {
        let mut last = self.inner.last.lock();
        *last = QueueId::after(*last);
        *last
    }

    /// Begins a body.
    pub fn body(&self) -> BodyWriter {
        BodyWriter::new(self.shared().bodies.clone(), self.shared().space.clone())
    }

    /// Stores a message. Returns when it is on the disk; after an error it isn't there, but for a
    /// fatal one, after which it may be. The same id again finds the first.
    ///
    /// Not cancelled by dropping the future: the message may be queued all the same.
    pub async fn insert(&self, message: NewMessage) -> Result<Queued, SpoolError> {
        self.space()?;
        match self.write(Write::Insert(Box::new(message))).await? {
            Written::Queued(mut queued) if queued.len() == 1 => Ok(queued.remove(0)),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes what became of recipients, and the bounces that this causes, in one commit. A message
    /// goes with its last recipient. One answer for each notice, in order.
    ///
    /// This may use the reserve: [`SpoolError::Full`] only comes when that is used up, and nothing
    /// was written then.
    pub async fn record(
        &self,
        outcomes: Vec<RecipientUpdate>,
        notices: Vec<NewMessage>,
    ) -> Result<Vec<Queued>, SpoolError> {
        match self.write(Write::Record { outcomes, notices }).await? {
            Written::Queued(queued) => Ok(queued),
            other => Err(unexpected(&other)),
        }
    }

    /// The message with the recipients asked for, all where none are named; none if it is not
    /// there. One that can't be read gets the state `corrupt` and is kept.
    pub async fn load(
        &self,
        queue_id: QueueId,
        recipients: Option<Vec<RecipientId>>,
    ) -> Result<Option<Message>, SpoolError> {
        let shared = self.shared();
        if let Some(failure) = shared.failure() {
            return Err(failure);
        }
        // On the caller's thread: two look-ups by key, most of them of what was just written, take
        // a few microseconds, and a thread of their own several times that.
        let loaded = shared
            .store
            .load(queue_id, recipients.as_deref())
            .inspect_err(|error| shared.note(error));
        if let Err(SpoolError::Corrupt { queue_id, reason }) = &loaded {
            tracing::error!(%queue_id, %reason, "a message is corrupt and set aside");
            self.write(Write::Corrupt { queue_id: *queue_id, reason: reason.to_string() }).await?;
        }
        loaded
    }

    /// Every recipient domain with something queued, and when the first of it is due.
    pub async fn destinations(&self) -> Result<Vec<Destination>, SpoolError> {
        let mut all: Vec<Destination> = Vec::new();
        loop {
            let after = all.last().map(|last| last.domain.clone());
            let mut page = self
                .read(move |store| store.destinations(after.as_deref(), DESTINATIONS_PAGE))
                .await?;
            let last = page.len() < DESTINATIONS_PAGE;
            all.append(&mut page);
            if last {
                return Ok(all);
            }
        }
    }

    /// The messages with recipients that have ended and whose senders aren't told yet.
    pub async fn untold(&self) -> Result<Vec<QueueId>, SpoolError> {
        self.read(Store::untold).await
    }

    /// The recipients of a domain that are due, the longest waiting first; after the cursor, the
    /// last one of the page before.
    pub async fn due(
        &self,
        domain: &str,
        now: Timestamp,
        after: Option<(Timestamp, RecipientId)>,
        limit: usize,
    ) -> Result<Due, SpoolError> {
        let domain = domain.to_owned();
        self.read(move |store| store.due(&domain, now, after, limit)).await
    }

    /// A page of the queue, in the order of queue ids.
    pub async fn list(
        &self,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Summary>, SpoolError> {
        self.read(move |store| store.list(after, limit)).await
    }

    /// Puts messages on hold; how many. What is being delivered at the moment goes on.
    pub async fn hold(&self, selection: Selection, reason: &str) -> Result<u64, SpoolError> {
        self.change(Change::Hold { reason: reason.to_owned() }, selection).await
    }

    /// Puts held and corrupt messages back into the queue; how many. A corrupt one that still is so
    /// is set aside again when it is tried. One in quarantine is released by its own id only, never
    /// along with all.
    pub async fn release(&self, selection: Selection) -> Result<u64, SpoolError> {
        self.change(Change::Release { quarantine: selection != Selection::All }, selection).await
    }

    /// Makes queued messages due now; how many weren't before.
    pub async fn flush(&self, selection: Selection) -> Result<u64, SpoolError> {
        self.change(Change::Flush { now: Timestamp::now() }, selection).await
    }

    /// How far in the future the last process left the spool, by a clock that has been set back
    /// since: [`Spool::clock_set_back`] mends what that did.
    pub fn ahead(&self) -> Duration {
        self.inner.folder.ahead()
    }

    /// The clock was set back by so much: what waits comes as much earlier, and what is stored in
    /// the future counts as now; how many messages that touched.
    pub async fn clock_set_back(&self, by: Duration) -> Result<u64, SpoolError> {
        self.change(Change::Earlier { by, now: Timestamp::now() }, Selection::All).await
    }

    /// Removes messages without a bounce; how many.
    pub async fn delete(&self, selection: Selection) -> Result<u64, SpoolError> {
        self.change(Change::Delete, selection).await
    }

    /// Whether a message may come in: [`SpoolError::Full`] (452 4.3.1) while the disk has too
    /// little room. Cheap, and at most a second old.
    pub fn space(&self) -> Result<(), SpoolError> {
        let shared = self.shared();
        if let Some(failure) = shared.failure() {
            return Err(failure);
        }
        let look = shared.space.check()?;
        if look.wants_more
            && let Some(chores) = &*self.inner.chores.lock()
        {
            let _ = chores.send(Chore::MakeSpace);
        }
        if look.enough { Ok(()) } else { Err(SpoolError::Full) }
    }

    /// Resolves when the spool has failed: the program must end, without [`Spool::close`].
    pub async fn failed(&self) -> SpoolError {
        let mut failed = self.shared().failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().unwrap_or(SpoolError::Closed),
            // The sender lives as long as this spool.
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether the spool has failed.
    pub fn is_failed(&self) -> bool {
        self.shared().failure().is_some()
    }

    /// Ends well: what waits is written, the log emptied into the database, and the end marked
    /// clean, so that the next open needs no check. Everything asked later is answered
    /// [`SpoolError::Closed`].
    pub async fn close(&self) -> Result<(), SpoolError> {
        let (done, closed) = oneshot::channel();
        self.send(Request::Close { done })?;
        // Without an answer the committer has ended, by a close or by a failure.
        closed.await.map_err(|_| self.shared().failure().unwrap_or(SpoolError::Closed))?;
        let inner = self.inner.clone();
        blocking(move || {
            inner.join();
            let shared = &inner.shared;
            let end = match shared.failure() {
                Some(failure) => Err(failure),
                None => committer::checkpoint(shared).and_then(|()| inner.folder.mark_clean()),
            };
            // Without room for the mark the next open looks for damage: that takes time, but is no
            // harm.
            let end = if matches!(end, Err(SpoolError::Full)) { Ok(()) } else { end };
            end.inspect_err(|error| shared.note(error))
        })
        .await
    }

    async fn change(&self, change: Change, selection: Selection) -> Result<u64, SpoolError> {
        let mut pick = Pick::first(selection);
        let mut total = 0;
        loop {
            match self.write(Write::Change { change: change.clone(), pick }).await? {
                Written::Changed { messages, more_after } => {
                    total += messages;
                    match more_after {
                        Some(last) => pick = Pick::After(Some(last)),
                        None => return Ok(total),
                    }
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    async fn write(&self, write: Write) -> Result<Written, SpoolError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Write { write, answer })?;
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    fn send(&self, request: Request) -> Result<(), SpoolError> {
        if let Some(failure) = self.shared().failure() {
            return Err(failure);
        }
        if self.shared().requests.put(request) { Ok(()) } else { Err(self.ended()) }
    }

    /// Why the committer answers no more.
    fn ended(&self) -> SpoolError {
        self.shared().failure().unwrap_or(SpoolError::Closed)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let shared = self.inner.shared.clone();
        if let Some(failure) = shared.failure() {
            return Err(failure);
        }
        blocking(move || read(&*shared.store).inspect_err(|error| shared.note(error))).await
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

fn unexpected(written: &Written) -> SpoolError {
    SpoolError::Refused(format!("an answer to another question: {written:?}").into())
}
