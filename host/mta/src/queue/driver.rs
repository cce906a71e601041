//! The queue's task: owns the scheduler, and does what it says. Loads and attempts run beside it
//! and report back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use facteur_spool::{SpoolError, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::clock::{self, Clock};
use super::door::{Event, Queue};
use super::parts::Parts;
use super::scheduler::{Command, Scheduler};
use super::{attempt, backoff, tell};

/// After a load that failed: the store has trouble, and more questions don't help it.
const LOAD_AGAIN: Duration = Duration::from_secs(10);

/// Starts the queue on what the store holds.
///
/// # Errors
/// The store can't be read.
pub async fn start(parts: Parts) -> Result<Queue, SpoolError> {
    let (queue, inbox) = Queue::new(&parts);
    let mut scheduler = Scheduler::new(parts.limits);
    clock::mend_at_start(&parts.spool).await?;
    for destination in parts.spool.destinations().await? {
        scheduler.expect(&destination.domain.into(), destination.next_try);
    }
    for message in parts.spool.untold().await? {
        scheduler.untold.expect(message, Timestamp(0));
    }
    let driver = Driver { queue: queue.clone(), scheduler, parts: Arc::new(parts), stopping: None };
    tokio::spawn(driver.run(inbox));
    Ok(queue)
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
        let (queue, parts) = (self.queue.clone(), self.parts.clone());
        tokio::spawn(async move {
            match clock::mend(&parts.spool, ahead).await {
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
                    let event = match queue.load(&domain, limit).await {
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
