//! The code of one plugin, ready to be run: compiled, linked, and with what bounds and counts it.
//!
//! It doesn't know what the code is asked.

use wasmtime::component::{Component, InstancePre};

use crate::runtime::compile_cache::CompileCache;
use crate::runtime::engine::{MEMORY_CEILING, Machine};
use crate::runtime::limits::{Isolation, Limits};
use crate::runtime::quota::Quota;
use crate::runtime::statistics::Statistics;
use crate::runtime::store::{Context, Data};
use crate::runtime::weight::{Weight, WeightError};

/// Above this a fresh sandbox costs more than it need: its first pages fault.
const LARGE_GUEST: usize = 256 * 1024;

/// Why a component can't be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// It wants more memory than any may have.
    #[error("its memory may be {} MiB at most", MEMORY_CEILING >> 20)]
    Memory,
    /// It isn't one, or has features that the engine hasn't.
    #[error("it isn't a component that facteur can run: {0:#}")]
    Component(wasmtime::Error),
    /// It imports what isn't there, or is of another type.
    #[error("{0:#}")]
    Imports(wasmtime::Error),
    /// There is no room for it.
    #[error(transparent)]
    Weight(#[from] WeightError),
}

/// What the operator says of it.
pub(crate) struct GuestConfig<'a> {
    /// In logs.
    pub name: &'a str,
    /// The component.
    pub wasm: &'a [u8],
    /// Its SHA-256, in hexadecimal.
    pub hash: &'a str,
    pub isolation: Isolation,
    pub limits: Limits,
}

/// A plugin's code.
pub(crate) struct Guest<C: 'static> {
    pub name: String,
    pub isolation: Isolation,
    pub limits: Limits,
    pub instance_pre: InstancePre<Data<C>>,
    pub weight: Weight,
    pub quota: Quota,
    pub statistics: Statistics,
}

impl<C: Context> Guest<C> {
    /// Takes it from the cache or compiles it, and links it. It computes: never on the event loop.
    ///
    /// # Errors
    /// It can't be run here.
    pub(crate) fn load(
        machine: &Machine<C>,
        sandboxes: u32,
        cache: &CompileCache,
        config: &GuestConfig<'_>,
    ) -> Result<(Self, Component), GuestError> {
        if config.limits.memory > MEMORY_CEILING {
            return Err(GuestError::Memory);
        }
        let component = cache
            .component(&machine.engine, config.wasm, config.hash)
            .map_err(GuestError::Component)?;
        let mut linker = machine.linker.clone();
        C::complete(&mut linker, &component).map_err(GuestError::Imports)?;
        let instance_pre = linker.instantiate_pre(&component).map_err(GuestError::Imports)?;
        warn_if_large(config.name, &component);
        let weight = Weight::of(&component, sandboxes)?;
        let guest = Self {
            name: config.name.to_owned(),
            isolation: config.isolation,
            limits: config.limits,
            instance_pre,
            weight,
            quota: Quota::new(share(config, weight, sandboxes)),
            statistics: Statistics::new(),
        };
        Ok((guest, component))
    }
}

/// How many sandboxes the plugin may use at once: what the operator says, as far as there is room,
/// or half of all there is room for.
fn share(config: &GuestConfig<'_>, weight: Weight, sandboxes: u32) -> usize {
    let plugin = config.name;
    let (room, each) = (sandboxes as usize, weight.sandboxes() as usize);
    let most = match config.limits.concurrency {
        None => (room / 2 / each).max(1),
        Some(wanted) if wanted * each > room => {
            let fit = room / each;
            tracing::warn!(
                plugin,
                wanted,
                fit,
                "its concurrency doesn't fit into [policy] sandboxes: no more can be in use at once"
            );
            fit
        }
        Some(wanted) => wanted,
    };
    if each > 1 {
        tracing::warn!(
            plugin,
            each,
            most,
            "each sandbox of it takes the room of several, for the tables and memories that it \
             needs: so many may be in use at once"
        );
    }
    most
}

fn warn_if_large(plugin: &str, component: &Component) {
    let Some(needs) = component.resources_required() else { return };
    let initial = needs.max_initial_memory_size.unwrap_or(0);
    if initial > LARGE_GUEST as u64 {
        tracing::warn!(
            plugin,
            initial,
            "a fresh sandbox will be slow: link with a stack of 32 KiB (-zstack-size=32768 \
             --stack-first)"
        );
    }
}
