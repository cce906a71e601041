//! Sandboxes of plugins with `isolation = "shared"`, between two questions.
//!
//! They are for whoever asks next, whatever the transaction, and see nothing meanwhile. What is
//! gained is the making and dropping of an instance; what is given up is that a plugin can't
//! remember. So they are renewed, and they give way: none is kept while sandboxes are short, and
//! one that idles is dropped for a caller that finds no other free.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::contract::sandbox::Sandbox;
use crate::plugin::Plugin;

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
#[derive(Default)]
pub(crate) struct Idle(Mutex<Vec<Sandbox>>);

impl Idle {
    /// One of this plugin: the latest, whose memory is the warmest.
    pub(crate) fn take(&self, plugin: &Arc<Plugin>) -> Option<Sandbox> {
        let found = {
            let mut all = self.0.lock();
            let place = all.iter().rposition(|one| Arc::ptr_eq(one.plugin(), plugin))?;
            all.remove(place)
        };
        is_fresh(&found).then_some(found)
    }

    /// Keeps one that has answered, unless it is to be renewed or there are enough.
    pub(crate) fn put(&self, mut sandbox: Sandbox) {
        if !is_fresh(&sandbox) || !sandbox.state().memory.has_room() {
            return;
        }
        sandbox.rest();
        let mut all = self.0.lock();
        if all.iter().filter(|one| Arc::ptr_eq(one.plugin(), sandbox.plugin())).count() < EACH {
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

    /// Drops those of plugins that are no more.
    pub(crate) fn forget(&self, plugins: &[Arc<Plugin>]) {
        let gone =
            |one: &mut Sandbox| plugins.iter().any(|plugin| Arc::ptr_eq(one.plugin(), plugin));
        let gone: Vec<Sandbox> = self.0.lock().extract_if(.., gone).collect();
        // Dropped after the lock is.
        drop(gone);
    }
}

fn is_fresh(sandbox: &Sandbox) -> bool {
    sandbox.questions() < QUESTIONS && sandbox.made_at().elapsed() < AGE
}
