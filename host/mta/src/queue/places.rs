//! Places for deliveries: so many at once, whatever their destinations, since each takes a
//! connection.
//!
//! A message has as many at most as it leaves free. So the first message to a thousand hosts that
//! hang takes half of them, the next one a quarter, and there is always one for the next.

use std::collections::HashMap;

use facteur_spool::{QueueId, RecipientId};

use super::batch::Batch;

/// The places.
#[derive(Debug)]
pub struct Places {
    free: usize,
    /// Whose they are, by the first recipient of the batch.
    taken: HashMap<RecipientId, QueueId>,
    by_message: HashMap<QueueId, usize>,
}

impl Places {
    /// So many, all of them free.
    pub fn new(count: usize) -> Self {
        Self { free: count.max(1), taken: HashMap::new(), by_message: HashMap::new() }
    }

    /// Whether none is free.
    pub fn is_full(&self) -> bool {
        self.free == 0
    }

    /// Whether there is one for this message.
    pub fn are_there(&self, message: QueueId) -> bool {
        self.by_message.get(&message).copied().unwrap_or(0) < self.free
    }

    /// Takes one.
    pub fn take(&mut self, batch: &Batch) {
        let Some((first, _)) = batch.recipients.first() else { return };
        if self.taken.insert(*first, batch.message).is_none() {
            self.free = self.free.saturating_sub(1);
            *self.by_message.entry(batch.message).or_default() += 1;
        }
    }

    /// Gives back that of the batch with this first recipient, if it had one.
    pub fn give_back(&mut self, first: RecipientId) {
        let Some(message) = self.taken.remove(&first) else { return };
        self.free += 1;
        if let Some(count) = self.by_message.get_mut(&message) {
            *count -= 1;
            if *count == 0 {
                self.by_message.remove(&message);
            }
        }
    }
}
