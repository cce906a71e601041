//! When to look into the store for what: the domains with something in it, each with the time when
//! the first of its recipients is due.
//!
//! So many loads run at once, and a domain that has much in the window is looked at again once that
//! has gone down. Pure, as the scheduler that owns it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use facteur_spool::Timestamp;

/// How many due recipients of a domain are loaded at a time.
pub const LOAD: usize = 500;
/// Loads under way at once: each reads the store and asks plugins.
const LOADS: usize = 8;
/// A domain with something in the store.
#[derive(Debug, Default)]
struct Domain {
    /// When to look into the store; also its place in the agenda.
    due: Option<Timestamp>,
    loading: bool,
    /// Recipients in the window.
    active: usize,
    /// More is due than was loaded.
    more: bool,
}

/// The domains, and the order in which they are looked at.
#[derive(Debug, Default)]
pub struct Agenda {
    domains: HashMap<Arc<str>, Domain>,
    order: BTreeSet<(Timestamp, Arc<str>)>,
    loads: usize,
}

impl Agenda {
    /// Something of this domain is due then.
    pub fn expect(&mut self, domain: &Arc<str>, when: Timestamp) {
        let state = self.domains.entry(domain.clone()).or_default();
        if state.due.is_some_and(|due| due <= when) {
            return;
        }
        if let Some(due) = state.due.replace(when) {
            self.order.remove(&(due, domain.clone()));
        }
        self.order.insert((when, domain.clone()));
    }

    /// When [`Agenda::take`] has something next.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().filter(|_| self.loads < LOADS).map(|(when, _)| *when)
    }

    /// The domains to be loaded now, each with the number of recipients to read at most; each until
    /// [`Agenda::loaded`].
    pub fn take(&mut self, now: Timestamp) -> Vec<(Arc<str>, usize)> {
        let mut taken = Vec::new();
        while self.loads < LOADS {
            let Some((when, domain)) = self.order.first().filter(|(when, _)| *when <= now).cloned()
            else {
                break;
            };
            self.order.remove(&(when, domain.clone()));
            let state = self.domains.entry(domain.clone()).or_default();
            state.due = None;
            if state.loading || state.active >= LOAD / 2 {
                // Looked at again when what is in the window has gone down.
                state.more = true;
                continue;
            }
            state.loading = true;
            state.more = false;
            self.loads += 1;
            // Those in the window are still due in the store, and will be read again.
            taken.push((domain, LOAD + state.active));
        }
        taken
    }

    /// A load has ended, well or not.
    pub fn loaded(&mut self, domain: &Arc<str>) {
        self.loads = self.loads.saturating_sub(1);
        if let Some(state) = self.domains.get_mut(domain) {
            state.loading = false;
        }
    }

    /// More is due for this domain than was taken: now if there is room, else when there is.
    pub fn more(&mut self, domain: &Arc<str>, now: Timestamp) {
        let state = self.domains.entry(domain.clone()).or_default();
        if state.active >= LOAD / 2 {
            state.more = true;
        } else {
            self.expect(domain, now);
        }
    }

    /// A recipient of the domain came into the window.
    pub fn entered(&mut self, domain: &Arc<str>) {
        self.domains.entry(domain.clone()).or_default().active += 1;
    }

    /// One left it.
    pub fn left(&mut self, domain: &Arc<str>) {
        if let Some(state) = self.domains.get_mut(domain) {
            state.active = state.active.saturating_sub(1);
        }
    }

    /// Looks for what was left in the store for want of room, if there is room now.
    pub fn look_for_more(&mut self, domain: &Arc<str>, now: Timestamp) {
        let Some(state) = self.domains.get_mut(domain) else { return };
        if state.more && state.active < LOAD / 2 {
            state.more = false;
            self.expect(domain, now);
        }
    }

    /// Nothing is known of a domain without anything in window, agenda or load.
    pub fn forget(&mut self, domain: &Arc<str>) {
        let idle = |state: &Domain| {
            state.due.is_none() && !state.loading && state.active == 0 && !state.more
        };
        if self.domains.get(domain).is_some_and(idle) {
            self.domains.remove(domain);
        }
    }

    /// Whether nothing is known of any domain.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.order.is_empty()
    }
}
