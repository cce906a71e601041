//! Counts what guests do: questions, fuel, calls into the host. For tests alone, which hold the
//! counts against budgets.
//!
//! Fuel is wasmtime's unit: about one for each instruction of the guest, whatever the processor.
//! What answers is counted; a question that ends in a trap is not. A sandbox's own start counts
//! with its first question.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use wasmtime::Store;

use crate::runtime::store::Data;

/// More than any question can burn within its time.
const FULL: u64 = u64::MAX / 2;

/// The counts of the plugins of one runtime.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<String, Used>>);

/// What one plugin has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Answers that it gave.
    pub questions: u64,
    /// Instructions, about.
    pub fuel: u64,
    /// Calls into the host.
    pub calls: u64,
}

impl Meter {
    /// What each plugin has used since the last time, by its name.
    pub fn take(&self) -> BTreeMap<String, Used> {
        std::mem::take(&mut self.0.lock())
    }

    pub(crate) fn note<C>(&self, plugin: &str, store: &mut Store<Data<C>>) {
        let calls = std::mem::take(&mut store.data_mut().calls);
        // A metered runtime's stores have fuel; without any, all of it seems to be burnt, which no
        // budget allows.
        let fuel = FULL - store.get_fuel().unwrap_or(0);
        fill(store);
        let mut all = self.0.lock();
        let used = all.entry(plugin.to_owned()).or_default();
        used.questions += 1;
        used.fuel += fuel;
        used.calls += calls;
    }
}

/// Gives a store of a metered runtime something to burn.
pub(crate) fn fill<C>(store: &mut Store<Data<C>>) {
    // Fails only where the engine has no fuel, which it has where there is a meter.
    let _ = store.set_fuel(FULL);
}
