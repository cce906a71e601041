//! The two threads of the spool. The committer takes whatever waits and makes one commit of it; the
//! housekeeper does what may take long and nobody waits for: checkpoints, unlinks, the reserve.
//! Where it is late with a checkpoint, the committer makes it.
//!
//! After a commit that carried several writes the next one waits until as many are there, but not
//! for long ([`Hope`]): those whom it let go on come back together, and a commit costs nearly the
//! same for one as for twenty. A single client is never kept waiting.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::SpoolError;
use crate::disk_space::DiskSpace;
use crate::inbox::Inbox;
use crate::store::{Applied, Store, Write, Written};

/// The most writes in one commit, so that the memory of a transaction is bounded (64 MiB of small
/// bodies).
const MAX_BATCH: usize = 1024;
/// How many times as long as a commit took the next one may be waited for: so no more than a
/// quarter of the time goes into commits that could have carried more.
const PATIENCE: u32 = 3;
/// The longest that a commit waits for others to come along: where a sync takes longer, a wait
/// would be felt.
const PATIENCE_LIMIT: Duration = Duration::from_millis(5);
/// So many commits that carried what was hoped for, then one that hopes for more.
const CONTENT: u32 = 16;
/// So many times as long as it should be the log may become while the housekeeper empties it; then
/// the committer waits, since a log that outgrows the reserve could not be emptied on a full disk.
const LOG_OVERRUN: u64 = 2;
/// What a write adds to the log at least: a few pages of tables and indexes, shared with others of
/// its batch.
const WRITE_COST: u64 = 8 << 10;

/// What the async side asks of the committer.
pub(crate) enum Request {
    Write {
        write: Write,
        answer: oneshot::Sender<Result<Written, SpoolError>>,
    },
    /// Everything asked before is done when this is answered; nothing is taken after it.
    Close {
        done: oneshot::Sender<()>,
    },
}

/// What the housekeeper is asked.
pub(crate) enum Chore {
    Checkpoint,
    Unlink(Vec<String>),
    /// Gives back what the database has to spare, and makes the reserve where it is missing.
    MakeSpace,
}

/// What the threads share with the door.
pub(crate) struct Shared {
    pub requests: Inbox<Request>,
    pub store: Arc<dyn Store>,
    pub space: Arc<DiskSpace>,
    pub bodies: Arc<Path>,
    /// Octets that the log may take, about, before they are moved into the database.
    pub log: u64,
    /// Octets that it takes, about.
    pub logged: AtomicU64,
    /// The fatal error, once there is one.
    pub failed: watch::Sender<Option<SpoolError>>,
}

impl Shared {
    /// Notes a fatal error; the first one counts.
    pub(crate) fn note(&self, error: &SpoolError) {
        if error.is_fatal() {
            self.failed.send_if_modified(|failed| {
                let first = failed.is_none();
                if first {
                    tracing::error!(%error, "the spool failed");
                    *failed = Some(error.clone());
                }
                first
            });
        }
    }

    /// The fatal error, if there was one.
    pub(crate) fn failure(&self) -> Option<SpoolError> {
        self.failed.borrow().clone()
    }
}

/// The committer's loop; ends when the inbox is closed, or with a request to close.
pub(crate) fn commit(shared: &Shared, chores: &mpsc::Sender<Chore>) {
    // Whatever ends this thread, those who wait must not believe that it goes on.
    let _last = Last(shared);
    let _guard = Guard(shared);
    // Whether the housekeeper was asked to empty the log and hasn't yet.
    let mut asked = false;
    let mut waiting = Vec::new();
    let mut hope = Hope::default();
    loop {
        shared.requests.take(&mut waiting, MAX_BATCH, hope.count, hope.until);
        if waiting.is_empty() {
            return;
        }
        let started = Instant::now();
        let mut writes = Vec::with_capacity(waiting.len());
        let mut answers = Vec::with_capacity(waiting.len());
        let mut close = None;
        for request in waiting.drain(..) {
            match request {
                Request::Write { write, answer } if close.is_none() => {
                    writes.push(write);
                    answers.push(answer);
                }
                Request::Write { answer, .. } => {
                    let _ = answer.send(Err(SpoolError::Closed));
                }
                Request::Close { done } => close = Some(done),
            }
        }
        if !writes.is_empty() {
            let cost = writes.iter().map(cost).sum::<u64>();
            let logged = shared.logged.fetch_add(cost, Ordering::Relaxed) + cost;
            let count = writes.len();
            let Applied { answers: results, unlink } = apply(shared, writes);
            hope.learn(count, started.elapsed());
            for (answer, result) in answers.into_iter().zip(results) {
                // Who no longer waits (a client gone meanwhile) has its message queued all the
                // same.
                let _ = answer.send(result);
            }
            // The housekeeper outlives this thread; where it has panicked, the guard of its own has
            // said so.
            if !unlink.is_empty() {
                let _ = chores.send(Chore::Unlink(unlink));
            }
            if logged >= shared.log * LOG_OVERRUN {
                if let Err(error) = empty_log(shared) {
                    shared.note(&error);
                }
            } else if logged >= shared.log && !asked {
                let _ = chores.send(Chore::Checkpoint);
            }
            asked = logged >= shared.log;
        }
        if let Some(done) = close {
            for request in shared.requests.empty() {
                if let Request::Write { answer, .. } = request {
                    let _ = answer.send(Err(SpoolError::Closed));
                }
            }
            let _ = done.send(());
            return;
        }
    }
}

/// What the next commit waits for.
struct Hope {
    /// So many writes.
    count: usize,
    /// Till then.
    until: Instant,
    /// How often as many came.
    fulfilled: u32,
}

impl Default for Hope {
    /// Nothing that isn't there.
    fn default() -> Self {
        Self { count: 1, until: Instant::now(), fulfilled: 0 }
    }
}

impl Hope {
    /// A commit carried so many, and took so long.
    fn learn(&mut self, carried: usize, took: Duration) {
        self.fulfilled = if carried < self.count { 0 } else { self.fulfilled + 1 };
        self.count = carried;
        // There may be more by now than ever come together in the time of one commit. One client
        // alone is left alone.
        if self.fulfilled >= CONTENT && carried > 1 {
            self.fulfilled = 0;
            self.count += carried.div_ceil(4);
        }
        self.until = Instant::now() + (took * PATIENCE).min(PATIENCE_LIMIT);
    }
}

/// About how much a write adds to the log.
fn cost(write: &Write) -> u64 {
    let small = |size: u64| if size <= crate::SMALL_BODY as u64 { size } else { 0 };
    WRITE_COST
        + write
            .messages()
            .iter()
            .map(|message| small(message.body.size()) + WRITE_COST)
            .sum::<u64>()
}

/// Applies the batch. On a full disk what brings in new mail is refused, and the rest done with the
/// reserve.
fn apply(shared: &Shared, mut writes: Vec<Write>) -> Applied {
    let first = commit_once(shared, &writes);
    let Err(SpoolError::Full) = first else { return settle(shared, &writes, first) };
    shared.space.found_full();
    let full: Vec<bool> = writes.iter().map(Write::needs_room).collect();
    writes.retain(|write| !write.needs_room());
    let mut rest = Err(SpoolError::Full);
    if !writes.is_empty() {
        if shared.space.give_up_reserve() {
            tracing::warn!(
                "the disk is full: the spool's reserve is used for the outcomes of deliveries"
            );
        }
        rest = commit_once(shared, &writes);
    }
    // It lets the log begin anew, so that the next outcomes need no more room. Not left to the
    // housekeeper: until it came to that, the log could use up the reserve, and with it the room
    // that the database needs to take the log in.
    if let Err(error) = checkpoint(shared) {
        shared.note(&error);
    }
    if !writes.is_empty() && matches!(rest, Err(SpoolError::Full)) {
        rest = commit_once(shared, &writes);
    }
    let Applied { answers, unlink } = settle(shared, &writes, rest);
    let mut answers = answers.into_iter();
    let answers = full
        .iter()
        .map(|full| if *full { None } else { answers.next() }.unwrap_or(Err(SpoolError::Full)))
        .collect();
    Applied { answers, unlink }
}

fn commit_once(shared: &Shared, writes: &[Write]) -> Result<Applied, SpoolError> {
    if let Some(failure) = shared.failure() {
        return Err(failure);
    }
    let applied = shared.store.apply(writes)?;
    Ok(applied)
}

/// An error of the batch is everyone's. The body files that rows name from now on, or may name,
/// stay.
fn settle(shared: &Shared, writes: &[Write], result: Result<Applied, SpoolError>) -> Applied {
    match result {
        Ok(applied) => {
            for (write, answer) in writes.iter().zip(&applied.answers) {
                let Ok(Written::Queued(queued)) = answer else { continue };
                for (message, queued) in write.messages().iter().zip(queued) {
                    if !queued.duplicate {
                        message.body.keep();
                    }
                }
            }
            applied
        }
        Err(error) => {
            shared.note(&error);
            if error.is_fatal() {
                // It may be in the log all the same: the next start finds out, and sweeps the file
                // if it isn't.
                writes.iter().flat_map(Write::messages).for_each(|message| message.body.keep());
            }
            Applied {
                answers: writes.iter().map(|_| Err(error.clone())).collect(),
                unlink: Vec::new(),
            }
        }
    }
}

/// The housekeeper's loop; ends with the channel.
pub(crate) fn keep_house(shared: &Shared, chores: &mpsc::Receiver<Chore>) {
    let _guard = Guard(shared);
    for chore in chores {
        // After a fatal error the files and the database are left for the next start to look at.
        if shared.failure().is_some() {
            continue;
        }
        let done = match chore {
            Chore::Checkpoint => checkpoint(shared),
            Chore::Unlink(names) => {
                for name in names {
                    let path = shared.bodies.join(name);
                    if let Err(error) = std::fs::remove_file(&path) {
                        tracing::warn!(path = %path.display(), %error, "a body file is left for \
                         the next start to sweep");
                    }
                }
                Ok(())
            }
            Chore::MakeSpace => checkpoint(shared).and_then(|()| shared.space.make_reserve()),
        };
        if let Err(error) = done {
            shared.note(&error);
        }
    }
}

/// Empties the log into the database. Where the disk is short of room, gives back what the database
/// has to spare. That a full disk lets neither happen is no error: the log keeps everything, and it
/// is tried again with the next one. The reserve is left to outcomes.
pub(crate) fn checkpoint(shared: &Shared) -> Result<(), SpoolError> {
    match empty_log(shared).and_then(|()| give_back(shared)) {
        Err(SpoolError::Full) => Ok(()),
        done => done,
    }
}

fn empty_log(shared: &Shared) -> Result<(), SpoolError> {
    shared.store.checkpoint()?;
    shared.logged.store(0, Ordering::Relaxed);
    Ok(())
}

fn give_back(shared: &Shared) -> Result<(), SpoolError> {
    if shared.space.check()?.enough {
        return Ok(());
    }
    while shared.store.reclaim()? {
        empty_log(shared)?;
    }
    empty_log(shared)
}

/// Nobody takes requests after the committer: those who wait for an answer, or ask later, are told
/// so.
struct Last<'a>(&'a Shared);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.requests.empty();
    }
}

/// A thread that panics must not look like one that is slow.
struct Guard<'a>(&'a Shared);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.note(&SpoolError::fatal("a thread of the spool panicked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Duration = Duration::from_micros(300);

    #[test]
    fn one_alone_is_never_kept_waiting() {
        let mut hope = Hope::default();
        for _ in 0..100 {
            hope.learn(1, COMMIT);
            assert_eq!(hope.count, 1);
        }
    }

    #[test]
    fn now_and_then_more_is_hoped_for_and_what_came_is_learnt() {
        let mut hope = Hope::default();
        let mut tries = 0;
        for _ in 0..100 {
            hope.learn(4, COMMIT);
            assert!(hope.count == 4 || hope.count == 5);
            tries += usize::from(hope.count == 5);
        }
        assert_eq!(tries, 100 / (CONTENT as usize + 1));
        hope.learn(2, COMMIT);
        assert_eq!(hope.count, 2);
    }

    #[test]
    fn a_slow_disk_is_not_waited_for_longer_than_is_felt() {
        let mut hope = Hope::default();
        hope.learn(4, Duration::from_secs(1));
        assert!(hope.until <= Instant::now() + PATIENCE_LIMIT);
    }
}
