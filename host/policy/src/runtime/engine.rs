//! The machine that plugins run on: one wasmtime engine, its linker, its clock tick.
//!
//! The settings make a fresh sandbox cost microseconds: in the steady state it takes no page fault
//! and makes no system call. Signals and guard pages stay on, since they carry wasmtime's Spectre
//! mitigations.
//!
//! It doesn't know what a plugin is, nor what its calls into the host reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::runtime::meter::Meter;
use crate::runtime::pace::{Pace, TICK};
use crate::runtime::store::{Context, Data};
use crate::runtime::weight;

/// Guest memory that stays mapped in a free slot: what a guest touches within it never faults
/// again. The kernel says which pages were written to, and only those are made as they were; where
/// it can't (before Linux 6.7), all of it is.
const MEMORY_KEPT_RESIDENT: usize = 1024 * 1024;
/// The same for tables.
const TABLE_KEPT_RESIDENT: usize = 64 * 1024;
/// The most memory that any plugin may be given.
pub(crate) const MEMORY_CEILING: usize = 64 * 1024 * 1024;
/// Enough for the largest language runtime that makes components today (Python: 38 core modules in
/// one component).
const CORE_INSTANCES_PER_COMPONENT: u32 = 64;
/// Large language runtimes have function tables of some 10,000 elements.
const TABLE_ELEMENTS: usize = 20_000;
/// A guest's native stack. The hosts's own calls run on it too, so that it is far larger than the
/// guest's share.
const ASYNC_STACK: usize = 256 * 1024;
/// What of it guest code may use: endless recursion ends here.
const GUEST_STACK: usize = 128 * 1024;

/// The engine and what goes with it.
pub(crate) struct Machine<C: 'static> {
    pub engine: Engine,
    pub linker: Linker<Data<C>>,
    pub pace: Arc<Pace>,
    pub meter: Option<Arc<Meter>>,
    _ticker: Ticker,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine can't start: {0}")]
pub struct EngineError(String);

impl<C: Context> Machine<C> {
    /// With room for so many sandboxes at once; with a meter, guests' work is counted.
    ///
    /// # Errors
    /// The address space for the pool can't be had, or the clock thread can't start.
    pub(crate) fn new(sandboxes: u32, meter: Option<Arc<Meter>>) -> Result<Self, EngineError> {
        let fail = |e: wasmtime::Error| EngineError(format!("{e:#}"));
        let engine =
            Engine::new(configuration(sandboxes).consume_fuel(meter.is_some())).map_err(fail)?;
        let mut linker = Linker::new(&engine);
        C::link(&mut linker).map_err(fail)?;
        let ticker = Ticker::start(engine.clone()).map_err(|e| EngineError(e.to_string()))?;
        Ok(Self { engine, linker, pace: Pace::new(), meter, _ticker: ticker })
    }
}

fn configuration(sandboxes: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    // Every total together: one that is forgotten is the one that runs out.
    pool.total_component_instances(sandboxes)
        // A count alone, for which nothing is set aside: as many as there can be.
        .total_core_instances(sandboxes.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(sandboxes.saturating_mul(weight::MEMORIES))
        .total_tables(sandboxes.saturating_mul(weight::TABLES))
        .total_stacks(sandboxes)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(4)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MEMORY_CEILING)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(MEMORY_KEPT_RESIDENT)
        .table_keep_resident(TABLE_KEPT_RESIDENT)
        .async_stack_keep_resident(ASYNC_STACK)
        .max_unused_warm_slots(sandboxes.min(256))
        .decommit_batch_size(1);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .memory_init_cow(true)
        .async_stack_size(ASYNC_STACK)
        .async_stack_zeroing(false)
        .max_wasm_stack(GUEST_STACK)
        .cranelift_opt_level(wasmtime::OptLevel::Speed)
        // A trap tells file and line where the component has debug information.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        // What a guest answers follows from what the host has told it, on every processor.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

/// Advances the engine's epoch for as long as the machine is there.
struct Ticker(Arc<AtomicBool>);

impl Ticker {
    fn start(engine: Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        std::thread::Builder::new().name("epoch".into()).spawn(move || {
            // A tick that comes late is not made up for: guests get time, not ticks.
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self(stop))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
