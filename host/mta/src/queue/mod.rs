//! The queue: tries what is due, when it is due, and records what came of it.
//!
//! One task owns the scheduler; loads and attempts run beside it and report back, so that nothing
//! here needs a lock. Nothing leaves the queue but through the store: an outcome is committed
//! before the scheduler forgets the recipient, and a crash at any moment only means that what was
//! under way is tried again.

mod attempt;
mod backoff;
mod batch;
mod clock;
mod destination;
mod fate;
mod places;
mod redirect;
mod scheduler;
mod tell;
mod untold;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use facteur_spool::{Message, QueueId, RecipientId, Spool, SpoolError, Timestamp};
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use backoff::Backoff;
use batch::{Batch, Kept, batches};
use clock::Clock;
use scheduler::{Command, Finished, Scheduler};

pub use scheduler::Limits;

use crate::decisions::Decisions;
use crate::delivery::Deliverer;
use crate::mta::Lives;

/// Memory for messages between their arrival and their first attempt, in KiB: what doesn't fit is
/// read again.
const KEPT_KIB: usize = 64 * 1024;
/// After a load that failed: the store has trouble, and more questions don't help it.
const LOAD_AGAIN: Duration = Duration::from_secs(10);

/// The door of the queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    events: mpsc::UnboundedSender<Event>,
    spool: Spool,
    lives: Lives,
    keep: Arc<Semaphore>,
    recipients_per_delivery: usize,
    decisions: Decisions,
}

/// What the queue needs to run.
pub struct Parts {
    /// The store.
    pub spool: Spool,
    /// The configuration in force.
    pub lives: Lives,
    /// Who delivers.
    pub deliverer: Arc<Deliverer>,
    /// Where what is decided is kept.
    pub decisions: Decisions,
    /// Bounds.
    pub limits: Limits,
    /// Recipients of one attempt.
    pub recipients_per_delivery: usize,
    /// When to try again.
    pub backoff: Backoff,
}

enum Event {
    Ready(Vec<Batch>),
    Loaded {
        domain: Arc<str>,
        batches: Vec<Batch>,
        next: Option<Timestamp>,
    },
    LoadFailed {
        domain: Arc<str>,
    },
    Finished(Finished),
    /// A sender was told, or couldn't be.
    Told(QueueId, bool),
    /// Look at the whole store again; everything may be due. Answered when the agenda is made.
    Rescan(oneshot::Sender<()>),
    Withdraw(Option<QueueId>, oneshot::Sender<()>),
    /// Start nothing more; answered when nothing is under way.
    Stop(oneshot::Sender<()>),
}

impl Queue {
    /// Starts the queue on what the store holds.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn start(parts: Parts) -> Result<Self, SpoolError> {
        let (events, inbox) = mpsc::unbounded_channel();
        let queue = Self {
            events,
            spool: parts.spool.clone(),
            lives: parts.lives.clone(),
            keep: Arc::new(Semaphore::new(KEPT_KIB)),
            recipients_per_delivery: parts.recipients_per_delivery,
            decisions: parts.decisions.clone(),
        };
        let mut scheduler = Scheduler::new(parts.limits);
        clock::mend_at_start(&parts.spool).await?;
        for destination in parts.spool.destinations().await? {
            scheduler.expect(&destination.domain.into(), destination.next_try);
        }
        for message in parts.spool.untold().await? {
            scheduler.untold.expect(message, Timestamp(0));
        }
        let driver =
            Driver { queue: queue.clone(), scheduler, parts: Arc::new(parts), stopping: None };
        tokio::spawn(driver.run(inbox));
        Ok(queue)
    }

    /// A message is in the store and due: its first attempt follows at once if there is room for
    /// it.
    pub fn arrived(&self, message: Message) {
        let queue = self.clone();
        tokio::spawn(async move {
            let size = message.header.len() as u64 + message.body.size();
            let memory =
                if matches!(message.body, facteur_spool::Body::Memory(_)) { size } else { 0 };
            let kib = u32::try_from(memory / 1024 + 1).unwrap_or(u32::MAX);
            let policy = queue.lives.load().policy.clone();
            let size = queue.recipients_per_delivery;
            let made = match queue.keep.clone().try_acquire_many_owned(kib) {
                Ok(room) => {
                    let kept = Arc::new(Kept { message, _room: room });
                    let recipients = &kept.message.recipients;
                    batches(&policy, &queue.decisions, &kept.message, recipients, Some(&kept), size)
                        .await
                }
                Err(_) => {
                    batches(&policy, &queue.decisions, &message, &message.recipients, None, size)
                        .await
                }
            };
            queue.tell(Event::Ready(made));
        });
    }

    /// Everything that is due now, by the store, is looked at anew; dead destinations get another
    /// chance.
    pub async fn rescan(&self) {
        let (done, wait) = oneshot::channel();
        self.tell(Event::Rescan(done));
        let _ = wait.await;
    }

    /// Takes what waits of a message, or of all, out of memory: it was held or deleted.
    pub async fn withdraw(&self, message: Option<QueueId>) {
        let (done, wait) = oneshot::channel();
        self.tell(Event::Withdraw(message, done));
        let _ = wait.await;
    }

    /// Starts nothing more, breaks off what can be tried again, and waits for the rest.
    pub async fn stop(&self) {
        let (done, wait) = oneshot::channel();
        self.tell(Event::Stop(done));
        let _ = wait.await;
    }

    fn tell(&self, event: Event) {
        // The driver ends with the process; what it would have done is in the store.
        let _ = self.events.send(event);
    }
}

struct Driver {
    queue: Queue,
    scheduler: Scheduler,
    parts: Arc<Parts>,
    stopping: Option<oneshot::Sender<()>>,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Event>) {
        let mut clock = Clock::new(Timestamp::now(), Instant::now());
        loop {
            let now = Timestamp::now();
            if let Some(ahead) = clock.set_back(now, Instant::now()) {
                self.mend(ahead);
            }
            let wake = self
                .scheduler
                .next_tick()
                .map(|when| Duration::from_millis(when.0.saturating_sub(now.0)));
            let event = tokio::select! {
                event = inbox.recv() => event,
                () = sleep(wake), if self.stopping.is_none() => {
                    let commands = self.scheduler.tick(Timestamp::now());
                    self.execute(commands);
                    continue;
                }
            };
            let Some(event) = event else { return };
            self.take(event).await;
            if self.scheduler.running() == 0
                && let Some(stopped) = self.stopping.take()
            {
                let _ = stopped.send(());
                return;
            }
        }
    }

    /// The agenda was made by a clock that was ahead: it is made anew once the store is mended.
    fn mend(&self, ahead: Duration) {
        let queue = self.queue.clone();
        tokio::spawn(async move {
            match clock::mend(&queue.spool, ahead).await {
                Ok(()) => queue.rescan().await,
                Err(error) => tracing::error!(%error, "what waits can't be tried earlier"),
            }
        });
    }

    async fn take(&mut self, event: Event) {
        let now = Timestamp::now();
        let commands = match event {
            Event::Ready(batches) => self.scheduler.ready(batches, now),
            Event::Loaded { domain, batches, next } => {
                self.scheduler.loaded(&domain, batches, next, now)
            }
            Event::LoadFailed { domain } => {
                self.scheduler.load_failed(&domain, backoff::after(now, LOAD_AGAIN));
                Vec::new()
            }
            Event::Finished(finished) => self.scheduler.finished(finished, now),
            Event::Told(message, told) => {
                self.scheduler.told(message, (!told).then(|| backoff::after(now, LOAD_AGAIN)), now)
            }
            Event::Rescan(done) => {
                self.scheduler.revive();
                match self.parts.spool.destinations().await {
                    Ok(all) => {
                        for one in all {
                            self.scheduler.expect(&one.domain.into(), one.next_try);
                        }
                    }
                    Err(error) => tracing::error!(%error, "the queue can't be looked at"),
                }
                let _ = done.send(());
                Vec::new()
            }
            Event::Withdraw(message, done) => {
                self.scheduler.withdraw(message);
                let _ = done.send(());
                Vec::new()
            }
            Event::Stop(done) => {
                self.parts.deliverer.stop();
                self.stopping = Some(done);
                Vec::new()
            }
        };
        self.execute(commands);
    }

    fn execute(&self, commands: Vec<Command>) {
        for command in commands {
            let (queue, parts) = (self.queue.clone(), self.parts.clone());
            // What waits is in the store: a start finds it there.
            let stopping = self.stopping.is_some();
            match command {
                Command::Start(batch) if stopping => {
                    queue.tell(Event::Finished(attempt::untried(&batch)));
                }
                Command::Start(batch) => drop(tokio::spawn(async move {
                    let finished = attempt::run(&parts, &queue, batch, None).await;
                    queue.tell(Event::Finished(finished));
                })),
                Command::Defer(batch, reply) => drop(tokio::spawn(async move {
                    let finished = attempt::run(&parts, &queue, batch, Some(reply)).await;
                    queue.tell(Event::Finished(finished));
                })),
                Command::Tell(message) if stopping => queue.tell(Event::Told(message, true)),
                Command::Tell(message) => drop(tokio::spawn(async move {
                    let told = tell::tell(&parts, &queue, message).await;
                    queue.tell(Event::Told(message, told));
                })),
                Command::Load(domain, limit) => drop(tokio::spawn(async move {
                    let event = match load(&queue, &domain, limit).await {
                        Ok((batches, next)) => Event::Loaded { domain, batches, next },
                        Err(error) => {
                            tracing::error!(domain = &*domain, %error, "what is due can't be read");
                            Event::LoadFailed { domain }
                        }
                    };
                    queue.tell(event);
                })),
            }
        }
    }
}

async fn sleep(wake: Option<Duration>) {
    match wake {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// What is due for a domain, routed; and when the first of the rest is due.
async fn load(
    queue: &Queue,
    domain: &str,
    limit: usize,
) -> Result<(Vec<Batch>, Option<Timestamp>), SpoolError> {
    let due = queue.spool.due(domain, Timestamp::now(), None, limit).await?;
    let mut messages: BTreeMap<QueueId, Vec<RecipientId>> = BTreeMap::new();
    for recipient in &due.recipients {
        messages.entry(recipient.message).or_default().push(recipient.id);
    }
    let policy = queue.lives.load().policy.clone();
    let mut made = Vec::new();
    for (id, recipients) in messages {
        match queue.spool.load(id, Some(recipients)).await {
            Ok(Some(message)) => {
                let size = queue.recipients_per_delivery;
                made.extend(
                    batches(&policy, &queue.decisions, &message, &message.recipients, None, size)
                        .await,
                );
            }
            // Deleted since, or set aside as corrupt, which the store has logged.
            Ok(None) | Err(SpoolError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((made, due.next))
}
