//! The tree of transcripts of one hook: a node is a call, an edge a reply, a leaf the answer.
//!
//! Each node has a lock of its own, which is held for one look-up. Replies are hashed with a seed
//! and compared whole. What is thrown out is drawn by lot: who sends ten thousand different
//! messages by turns would otherwise have thrown out whatever comes next.

use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::contract::calls::{Call, Reply, octets};
use crate::contract::transcript::{Asked, Exchange};

/// A plugin's answer, of its hook's own type.
pub(crate) type Leaf = Arc<dyn Any + Send + Sync>;

/// What follows.
#[derive(Clone)]
pub(crate) enum Next {
    /// The plugin asks.
    Ask(Arc<Node>),
    /// It answers.
    Answer(Leaf),
}

/// A call, and what followed each reply.
pub(crate) struct Node {
    pub call: Arc<Call>,
    edges: Mutex<IndexMap<Reply, Edge, RandomState>>,
}

struct Edge {
    next: Next,
    /// What it takes, and what is just behind it: the call or the answer.
    octets: usize,
}

/// What an edge takes besides what its reply holds.
const EDGE: usize = size_of::<(u64, Reply, Edge)>() + 16;
/// What a node takes besides what its call holds: its table has room for three more edges at first.
const NODE: usize = size_of::<Node>() + size_of::<Call>() + 3 * EDGE + 64;
/// What an answer takes besides what it holds.
const LEAF: usize = 128;

impl Node {
    /// What follows this reply, if that is known.
    pub(crate) fn after(&self, reply: &Reply) -> Option<Next> {
        self.edges.lock().get(reply).map(|edge| edge.next.clone())
    }
}

#[derive(Default)]
pub(super) struct Tree {
    root: Mutex<Option<Next>>,
    octets: AtomicUsize,
    seed: RandomState,
    lots: AtomicU64,
}

impl Tree {
    /// What the plugin does first, if that is known.
    pub(super) fn first(&self) -> Option<Next> {
        self.root.lock().clone()
    }

    pub(super) fn octets(&self) -> usize {
        self.octets.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        *self.root.lock() = None;
        self.octets.store(0, Ordering::Relaxed);
    }

    /// Puts in what is missing of this way, with an answer of so many bytes. False: the tree says
    /// that something else is asked or answered there.
    pub(super) fn keep(&self, exchanges: Vec<Exchange>, answer: Next, octets: usize) -> bool {
        let mut way = exchanges.into_iter();
        let Some(first) = way.next() else { return self.root_is(answer, octets) };
        let mut node = {
            let mut root = self.root.lock();
            match &*root {
                Some(Next::Ask(node)) if *node.call == *first.call.call() => node.clone(),
                Some(_) => return false,
                None => {
                    let node = self.node(first.call);
                    *root = Some(Next::Ask(node.clone()));
                    node
                }
            }
        };
        let mut reply = first.reply;
        for exchange in way {
            node = {
                let mut edges = node.edges.lock();
                match edges.get(&reply).map(|edge| &edge.next) {
                    Some(Next::Ask(next)) if *next.call == *exchange.call.call() => next.clone(),
                    Some(_) => return false,
                    None => {
                        let next = self.node(exchange.call);
                        self.link(&mut edges, reply, Next::Ask(next.clone()), 0);
                        next
                    }
                }
            };
            reply = exchange.reply;
        }
        let mut edges = node.edges.lock();
        match edges.get(&reply).map(|edge| &edge.next) {
            // Another question was first.
            Some(Next::Answer(_)) => true,
            Some(Next::Ask(_)) => false,
            None => {
                self.link(&mut edges, reply, answer, octets);
                true
            }
        }
    }

    /// The plugin asks nothing at all.
    fn root_is(&self, answer: Next, octets: usize) -> bool {
        let mut root = self.root.lock();
        match &*root {
            Some(Next::Answer(_)) => true,
            Some(Next::Ask(_)) => false,
            None => {
                *root = Some(answer);
                self.octets.fetch_add(octets + LEAF, Ordering::Relaxed);
                true
            }
        }
    }

    fn node(&self, call: Asked) -> Arc<Node> {
        let call = match call {
            Asked::New(call) => Arc::new(call),
            Asked::Known(call) => call,
        };
        Arc::new(Node { call, edges: Mutex::new(IndexMap::with_hasher(self.seed.clone())) })
    }

    fn link(
        &self,
        edges: &mut IndexMap<Reply, Edge, RandomState>,
        reply: Reply,
        next: Next,
        of_answer: usize,
    ) {
        let behind = match &next {
            Next::Ask(node) => NODE + octets(&*node.call),
            Next::Answer(_) => LEAF + of_answer,
        };
        let octets = EDGE + octets(&reply) + behind;
        self.octets.fetch_add(octets, Ordering::Relaxed);
        edges.insert(reply, Edge { next, octets });
    }

    /// Forgets an answer drawn by lot, and the way to it as far as nothing else lies on it. False:
    /// there is nothing to forget.
    pub(super) fn throw_out(&self) -> bool {
        let mut way = Vec::new();
        let Some(mut next) = self.first() else { return false };
        while let Next::Ask(node) = next {
            let edges = node.edges.lock();
            let Some(drawn) = self.draw(edges.len()) else { break };
            next = edges[drawn].next.clone();
            drop(edges);
            way.push((node, drawn));
        }
        if way.is_empty() {
            self.clear();
            return false;
        }
        let mut gone = false;
        for (node, drawn) in way.into_iter().rev() {
            let mut edges = node.edges.lock();
            let is_empty = |next: &Next| match next {
                Next::Ask(below) => below.edges.lock().is_empty(),
                Next::Answer(_) => true,
            };
            // Somebody may have been here meanwhile, and another edge has this number now: it is as
            // good, if nothing is behind it.
            if !edges.get_index(drawn).is_some_and(|(_, edge)| is_empty(&edge.next)) {
                break;
            }
            if let Some((_, edge)) = edges.swap_remove_index(drawn) {
                self.octets.fetch_sub(edge.octets, Ordering::Relaxed);
                gone = true;
            }
        }
        gone
    }

    fn draw(&self, of: usize) -> Option<usize> {
        let lot = self.seed.hash_one(self.lots.fetch_add(1, Ordering::Relaxed));
        usize::try_from(lot % u64::try_from(of).ok()?.max(1)).ok().filter(|lot| *lot < of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(key: &str, reply: Option<&str>) -> Exchange {
        Exchange {
            call: Asked::New(Call::SessionTag { key: key.to_owned() }),
            reply: Reply::MaybeText(reply.map(Into::into)),
        }
    }

    fn answer() -> Next {
        Next::Answer(Arc::new(7_u8))
    }

    #[test]
    fn a_tree_that_says_otherwise_takes_nothing_in() {
        let tree = Tree::default();
        assert!(tree.keep(vec![exchange("a", None), exchange("b", None)], answer(), 8));
        assert!(tree.keep(vec![exchange("a", None), exchange("b", Some("x"))], answer(), 8));
        assert!(tree.keep(vec![exchange("a", Some("x"))], answer(), 8));
        let before = tree.octets();
        assert!(!tree.keep(vec![exchange("b", None)], answer(), 8), "another first call");
        assert!(!tree.keep(vec![exchange("a", None), exchange("c", None)], answer(), 8));
        assert!(!tree.keep(vec![exchange("a", None)], answer(), 8), "an answer where it asks");
        assert!(!tree.keep(vec![exchange("a", Some("x")), exchange("b", None)], answer(), 8));
        assert!(!tree.keep(Vec::new(), answer(), 8));
        assert_eq!(tree.octets(), before);
    }

    #[test]
    fn all_that_is_kept_can_be_thrown_out() {
        let tree = Tree::default();
        for first in ["x", "y", "z"] {
            for second in 0..50 {
                let way =
                    vec![exchange("a", Some(first)), exchange("b", Some(&second.to_string()))];
                assert!(tree.keep(way, answer(), 8));
            }
        }
        let whole = tree.octets();
        assert!(whole > 150 * (EDGE + LEAF));
        while tree.throw_out() {}
        assert_eq!(tree.octets(), 0);
    }
}
