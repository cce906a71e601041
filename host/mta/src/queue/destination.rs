//! One destination: what waits for it, how much is under way, whether it is dead.
//!
//! Slow start as in Postfix's queue manager: concurrency begins at a few, grows by one with each
//! success, shrinks by one each time the destination can't be reached; at none the destination is
//! dead for a while, and what waits is deferred without being tried.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use facteur_smtp::Reply;
use facteur_spool::Timestamp;

use super::batch::Batch;

/// One destination.
#[derive(Debug, Default)]
pub struct Load {
    /// In the order they came.
    pub ready: VecDeque<Batch>,
    /// Attempts under way.
    pub running: usize,
    /// Recipients in `ready` and under way.
    pub recipients: usize,
    /// Attempts there may be; 0 before the first.
    concurrency: usize,
    /// Until when nothing is tried, and why.
    pub dead: Option<(Timestamp, Reply)>,
    /// It is among those that wait for a place.
    pub waiting: bool,
    /// Domains with more for this destination than it has room for here.
    pub parked: HashSet<Arc<str>>,
}

impl Load {
    /// Whether another attempt may start.
    pub fn may_start(&self, initial: usize) -> bool {
        !self.ready.is_empty()
            && self.running < self.concurrency.max(if self.concurrency == 0 { initial } else { 1 })
    }

    /// The destination answered.
    pub fn succeeded(&mut self, initial: usize, limit: usize) {
        self.dead = None;
        let now = if self.concurrency == 0 { initial } else { self.concurrency };
        self.concurrency = (now + 1).min(limit.max(1));
    }

    /// It couldn't be reached; says whether it is dead now.
    pub fn failed(&mut self, initial: usize, until: Timestamp, reply: Reply) -> bool {
        let now = if self.concurrency == 0 { initial } else { self.concurrency };
        self.concurrency = now.saturating_sub(1);
        if self.concurrency == 0 {
            self.dead = Some((until, reply));
        }
        self.dead.is_some()
    }

    /// Whether there is nothing left to know about it.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let dead = self.dead.as_ref().is_some_and(|(until, _)| *until > now);
        self.ready.is_empty() && self.running == 0 && self.parked.is_empty() && !dead
    }
}
