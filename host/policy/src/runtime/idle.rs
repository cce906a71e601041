//! Sandboxes of plugins with `isolation = "shared"`, between two questions.
//!
//! They are for whoever asks next, whatever the transaction, and see nothing meanwhile. What is
//! gained is the making and dropping of an instance; what is given up is that a plugin can't
//! remember. So they are renewed, and they give way: none is kept while sandboxes are short, and
//! one that idles is dropped for a caller that finds no other free.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::runtime::guest::Guest;
use crate::runtime::sandbox::Sandbox;
use crate::runtime::store::Context;

/// Idle ones of one plugin: a question takes microseconds, so that few are asked at the same
/// instant.
const EACH: usize = 8;
/// After so many questions an instance is renewed: what it cost to make is then a thousandth of
/// each, and what it leaks is bounded.
const QUESTIONS: u32 = 1_000;
/// After so long it is renewed, too: what a plugin remembers it forgets within a minute of its
/// making.
const AGE: Duration = Duration::from_secs(60);

/// All that are idle, of all plugins of a runtime; the latest is the last.
pub(crate) struct Idle<C: 'static>(Mutex<Vec<Sandbox<C>>>);

impl<C> Default for Idle<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Context> Idle<C> {
    /// One of this plugin: the latest, whose memory is the warmest.
    pub(crate) fn take(&self, guest: &Arc<Guest<C>>) -> Option<Sandbox<C>> {
        let found = {
            let mut all = self.0.lock();
            let place = all.iter().rposition(|one| Arc::ptr_eq(one.guest(), guest))?;
            all.remove(place)
        };
        is_fresh(&found).then_some(found)
    }

    /// Keeps one that has answered, unless it is to be renewed or there are enough.
    pub(crate) fn put(&self, mut sandbox: Sandbox<C>) {
        if !is_fresh(&sandbox) || !sandbox.has_room() {
            return;
        }
        sandbox.rest();
        let mut all = self.0.lock();
        if all.iter().filter(|one| Arc::ptr_eq(one.guest(), sandbox.guest())).count() < EACH {
            all.push(sandbox);
        }
    }

    /// Drops the one that has idled the longest; whether there was one.
    pub(crate) fn give_way(&self) -> bool {
        let mut all = self.0.lock();
        let oldest = (!all.is_empty()).then(|| all.remove(0));
        drop(all);
        oldest.is_some()
    }

    /// Drops those of a plugin that is no more.
    pub(crate) fn forget(&self, guest: &Arc<Guest<C>>) {
        let gone = |one: &mut Sandbox<C>| Arc::ptr_eq(one.guest(), guest);
        let gone: Vec<Sandbox<C>> = self.0.lock().extract_if(.., gone).collect();
        // Dropped after the lock is.
        drop(gone);
    }
}

fn is_fresh<C: Context>(sandbox: &Sandbox<C>) -> bool {
    sandbox.questions() < QUESTIONS && sandbox.made_at().elapsed() < AGE
}
