//! The machine that plugins run on: one wasmtime engine, its pool of sandboxes, its clock tick, its
//! permits.
//!
//! The settings make a fresh sandbox cost microseconds: in the steady state it takes no page fault
//! and makes no system call. A permit is taken before a sandbox exists, for all that it needs
//! ([`Weight`]), so that a full pool makes callers wait and then hear "try later"; the pool itself
//! never fails. Signals and guard pages
//! stay on, since they carry wasmtime's Spectre mitigations.
//!
//! It doesn't know what a plugin is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::contract::bindings::Imports;
use crate::contract::sandbox::State;
use crate::runtime::instance_pool::Idle;
use crate::runtime::meter::Meter;
use crate::runtime::pace::{Pace, TICK};
use crate::runtime::weight::{self, Weight};

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
/// How long a caller waits for a permit when every sandbox is in use.
const PERMIT_PATIENCE: Duration = Duration::from_secs(5);

/// The engine, shared by all plugins of the process. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Arc<Linker<State>>,
    pub(crate) idle: Arc<Idle>,
    pub(crate) pace: Arc<Pace>,
    permits: Arc<Semaphore>,
    sandboxes: u32,
    meter: Option<Arc<Meter>>,
    _ticker: Arc<Ticker>,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine can't start: {0}")]
pub struct EngineError(String);

impl Runtime {
    /// An engine with room for so many sandboxes at once.
    ///
    /// # Errors
    /// The address space for the pool can't be had, or the clock thread can't start.
    pub fn new(sandboxes: u32) -> Result<Self, EngineError> {
        Self::with(sandboxes, None)
    }

    /// The same with a meter, for tests: guests' work is counted, which makes it slower.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn metered(sandboxes: u32, meter: Arc<Meter>) -> Result<Self, EngineError> {
        Self::with(sandboxes, Some(meter))
    }

    fn with(sandboxes: u32, meter: Option<Arc<Meter>>) -> Result<Self, EngineError> {
        let fail = |e: wasmtime::Error| EngineError(format!("{e:#}"));
        let engine =
            Engine::new(configuration(sandboxes).consume_fuel(meter.is_some())).map_err(fail)?;
        let mut linker = Linker::new(&engine);
        Imports::add_to_linker::<_, HasSelf<State>>(&mut linker, State::called).map_err(fail)?;
        let ticker = Ticker::start(engine.clone()).map_err(|e| EngineError(e.to_string()))?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            idle: Arc::default(),
            pace: Pace::new(),
            permits: Arc::new(Semaphore::new(sandboxes as usize)),
            sandboxes,
            meter,
            _ticker: Arc::new(ticker),
        })
    }

    /// Whether more than half of the sandboxes are in use. Then none is kept between two questions:
    /// idle clients in the middle of a transaction, however many, never take the other half from
    /// those with something to decide.
    pub(crate) fn is_short(&self) -> bool {
        self.permits.available_permits() < self.sandboxes as usize / 2
    }

    /// How many sandboxes there are.
    pub(crate) fn sandboxes(&self) -> u32 {
        self.sandboxes
    }

    pub(crate) fn meter(&self) -> Option<&Arc<Meter>> {
        self.meter.as_ref()
    }

    /// The right to have one sandbox of this weight, or none if too much stays in use for too long.
    pub(crate) async fn permit(&self, weight: Weight) -> Option<OwnedSemaphorePermit> {
        let room = weight.sandboxes();
        loop {
            if let Ok(permit) = self.permits.clone().try_acquire_many_owned(room) {
                return Some(permit);
            }
            if !self.idle.give_way() {
                break;
            }
        }
        let permit = self.permits.clone().acquire_many_owned(room);
        tokio::time::timeout(PERMIT_PATIENCE, permit).await.ok()?.ok()
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
        .cranelift_opt_level(wasmtime::OptLevel::Speed);
    config
}

/// Advances the engine's epoch until the last handle to the runtime is gone.
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
