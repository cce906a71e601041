//! The door of the queue: how messages come in, and how an operator reaches what waits.
//!
//! What comes in is in the store before anything else is done with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use facteur_spool::{
    Message, NewMessage, QueueId, Queued, RecipientId, RecipientUpdate, Spool, SpoolError,
    Timestamp,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::batch::{Batch, InMemory, batches};
use super::entry::{as_stored, log_queued, with_ids};
use super::parts::Parts;
use super::scheduler::Finished;
use crate::decisions::Decisions;
use crate::snapshot::InForce;

/// Memory for messages between their arrival and their first attempt, in KiB: what doesn't fit is
/// read again.
const KEPT_KIB: usize = 64 * 1024;
/// The door of the queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    events: mpsc::UnboundedSender<Event>,
    spool: Spool,
    in_force: InForce,
    keep: Arc<Semaphore>,
    recipients_per_delivery: usize,
    decisions: Decisions,
}

/// What the queue's task is told.
pub(super) enum Event {
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
    /// A door that leads nowhere yet, and where its events come out.
    pub(super) fn new(parts: &Parts) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, inbox) = mpsc::unbounded_channel();
        let queue = Self {
            events,
            spool: parts.spool.clone(),
            in_force: parts.in_force.clone(),
            keep: Arc::new(Semaphore::new(KEPT_KIB)),
            recipients_per_delivery: parts.recipients_per_delivery,
            decisions: parts.decisions.clone(),
        };
        (queue, inbox)
    }

    /// Stores a message, and hands it on to its first attempt unless it is held. Returns once it is
    /// on the disk.
    ///
    /// # Errors
    /// The store's.
    pub async fn insert(&self, new: NewMessage) -> Result<Queued, SpoolError> {
        let held = new.hold.is_some();
        let message = as_stored(&new);
        let queued = self.spool.insert(new).await?;
        log_queued(&message, &queued);
        if !held && !queued.duplicate {
            self.arrived(with_ids(message, &queued));
        }
        Ok(queued)
    }

    /// Commits what became of recipients of `message` with the messages that follow from it, and
    /// hands these on to their first attempt. False: nothing was recorded.
    pub(super) async fn record(
        &self,
        message: &Message,
        outcomes: Vec<RecipientUpdate>,
        new: Vec<NewMessage>,
    ) -> bool {
        let messages: Vec<Message> = new.iter().map(as_stored).collect();
        match self.spool.record(outcomes, new).await {
            Ok(queued) => {
                for (new, queued) in messages.into_iter().zip(&queued) {
                    tracing::info!(id = %queued.queue_id, of = %message.queue_id, "follows");
                    log_queued(&new, queued);
                    self.arrived(with_ids(new, queued));
                }
                true
            }
            Err(error) => {
                // If the spool has failed the program is ending, and the recipients are tried again
                // after the restart.
                tracing::error!(
                    id = %message.queue_id, %error, "the outcome isn't recorded: it is tried again"
                );
                false
            }
        }
    }

    /// A message is in the store and due: its first attempt follows at once if there is room for
    /// it.
    fn arrived(&self, message: Message) {
        let queue = self.clone();
        tokio::spawn(async move {
            let size = message.header.len() as u64 + message.body.size();
            let memory =
                if matches!(message.body, facteur_spool::Body::Memory(_)) { size } else { 0 };
            let kib = u32::try_from(memory / 1024 + 1).unwrap_or(u32::MAX);
            let policy = queue.in_force.load().policy.clone();
            let size = queue.recipients_per_delivery;
            let made = match queue.keep.clone().try_acquire_many_owned(kib) {
                Ok(room) => {
                    let kept = Arc::new(InMemory { message, _room: room });
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

    pub(super) fn tell(&self, event: Event) {
        // The driver ends with the process; what it would have done is in the store.
        let _ = self.events.send(event);
    }

    /// What is due for a domain, routed; and when the first of the rest is due.
    pub(super) async fn load(
        &self,
        domain: &str,
        limit: usize,
    ) -> Result<(Vec<Batch>, Option<Timestamp>), SpoolError> {
        let due = self.spool.due(domain, Timestamp::now(), None, limit).await?;
        let mut messages: BTreeMap<QueueId, Vec<RecipientId>> = BTreeMap::new();
        for recipient in &due.recipients {
            messages.entry(recipient.message).or_default().push(recipient.id);
        }
        let policy = self.in_force.load().policy.clone();
        let mut made = Vec::new();
        for (id, recipients) in messages {
            match self.spool.load(id, Some(recipients)).await {
                Ok(Some(message)) => {
                    let size = self.recipients_per_delivery;
                    made.extend(
                        batches(
                            &policy,
                            &self.decisions,
                            &message,
                            &message.recipients,
                            None,
                            size,
                        )
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
}
