//! What is remembered of a plugin's answers: for each of its hooks a tree of transcripts.
//!
//! A sandbox is deterministic: what a fresh one asks next, and what it answers, follows from what
//! the host has answered before. So a question to a plugin that has no sandbox yet in the
//! transaction is walked down the tree: the host performs each call for real, once and in order,
//! and follows the edge of its reply; a leaf is the plugin's answer, for which no sandbox was
//! needed. Where the tree ends, a fresh sandbox is played what the walk has heard, and goes on from
//! there.
//!
//! Nothing here is believed longer than a look-up: facts, tables and counters are asked anew each
//! time, and the answer is checked anew. Only whole transcripts of fresh sandboxes come in, with an
//! answer that passed its check.

mod gauge;
mod sightings;
mod tree;
mod walk;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub(crate) use walk::{Missing, Walked, walk};

use self::gauge::Gauge;
use self::sightings::Sightings;
use self::tree::{Leaf, Next, Tree};
use crate::contract::calls::Reply;
use crate::contract::transcript::Exchange;

/// One hit in so many is asked of a sandbox, too, and compared: a memo that is wrong, for whatever
/// reason, doesn't stay so.
const HITS_FOR_A_TRIAL: u64 = 1_024;

/// The memos of a process, which outlive a reload where nothing has changed that an answer depends
/// on.
pub struct Memos {
    /// Bytes for all memos together; 0: nothing is remembered.
    limit: AtomicUsize,
    sightings: Arc<Sightings>,
    known: Mutex<HashMap<String, Weak<Memo>>>,
}

impl Memos {
    /// With so many bytes for all that is remembered; 0: nothing is.
    pub fn new(limit: usize) -> Arc<Self> {
        let limit = AtomicUsize::new(limit);
        Arc::new(Self { limit, sightings: Arc::default(), known: Mutex::default() })
    }

    /// Another limit, from the next load on.
    pub fn limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The memo of what this says, all of it: the hook, the component, its settings and grants; one
    /// that is in use, or a new one. None: nothing is remembered.
    pub(crate) fn memo(&self, of: String) -> Option<Arc<Memo>> {
        if self.limit.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut known = self.known.lock();
        let memo = known.get(&of).and_then(Weak::upgrade);
        let memo = memo.unwrap_or_else(|| Arc::new(Memo::new(self.sightings.clone())));
        known.insert(of, Arc::downgrade(&memo));
        Some(memo)
    }

    /// Gives each memo in use the same share.
    pub(crate) fn share(&self) {
        let mut known = self.known.lock();
        known.retain(|_, memo| memo.strong_count() > 0);
        let share = self.limit.load(Ordering::Relaxed) / known.len().max(1);
        for memo in known.values().filter_map(Weak::upgrade) {
            memo.share.store(share, Ordering::Relaxed);
            memo.fit();
        }
    }
}

/// What is remembered of one hook of one plugin.
pub(crate) struct Memo {
    tree: Tree,
    /// Bytes that it may take.
    share: AtomicUsize,
    sightings: Arc<Sightings>,
    gauge: Gauge,
    /// The plugin has turned out not to be deterministic.
    ended: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How a memo does, as it was when somebody looked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Questions that were answered without a sandbox.
    pub hits: u64,
    /// Questions that needed one.
    pub misses: u64,
    /// What is kept, in bytes.
    pub octets: u64,
}

impl Remembered {
    /// The sum.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            octets: self.octets + other.octets,
        }
    }
}

impl Memo {
    fn new(sightings: Arc<Sightings>) -> Self {
        Self {
            tree: Tree::default(),
            share: AtomicUsize::new(0),
            sightings,
            gauge: Gauge::default(),
            ended: AtomicBool::new(false),
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
        }
    }

    /// Whether the next question is worth a walk.
    pub(crate) fn attends(&self) -> bool {
        !self.ended.load(Ordering::Relaxed) && self.gauge.attends()
    }

    /// A question was answered by a leaf; whether this answer is to be tried.
    pub(crate) fn hit(&self) -> bool {
        self.gauge.note(true);
        (self.hits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(HITS_FOR_A_TRIAL)
    }

    /// A question wasn't.
    fn miss(&self) {
        self.gauge.note(false);
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing is remembered of this hook from now on.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.tree.clear();
    }

    /// Whether the missing reply was missing before, not long ago: what comes once is not kept.
    fn is_seen(&self, after: Option<&tree::Node>, reply: Option<&Reply>) -> bool {
        // Where they lie tells them apart well enough.
        let memo = std::ptr::from_ref(self).addr();
        let node = after.map(|node| std::ptr::from_ref(node).addr());
        self.sightings.again(&(memo, node, reply))
    }

    /// Keeps a transcript and what was answered, `octets` long. False: the tree says otherwise,
    /// which of a deterministic plugin it can't.
    pub(crate) fn keep(&self, exchanges: Vec<Exchange>, answer: Leaf, octets: usize) -> bool {
        if self.ended.load(Ordering::Relaxed) {
            return true;
        }
        let kept = self.tree.keep(exchanges, Next::Answer(answer), octets);
        self.fit();
        kept
    }

    /// Throws out until the rest fits into its share.
    fn fit(&self) {
        while self.tree.octets() > self.share.load(Ordering::Relaxed) && self.tree.throw_out() {}
    }

    pub(crate) fn remembered(&self) -> Remembered {
        Remembered {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            octets: self.tree.octets() as u64,
        }
    }
}
