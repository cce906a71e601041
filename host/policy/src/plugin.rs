//! One loaded plugin: its code, what it exports, what it may do, what its `init` kept.
//!
//! A plugin is whatever it exports: the hooks are probed one interface at a time, so that a new
//! kind of hook never breaks an old plugin. A plugin that exports what the host wouldn't ask, that
//! has no room in the pool, or whose `init` says no, is an error of the load.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wasmtime::component::InstancePre;

use crate::contract::bindings::restriction::exports::facteur::policy::restriction::Stages;
use crate::contract::exports::Hooks;
use crate::contract::imports::printable;
use crate::contract::sandbox::{Sandbox, State};
use crate::grants::Grants;
use crate::hooks::restriction::Stage;
use crate::identity::Identity;
use crate::runtime::compile_cache::CodeCache;
use crate::runtime::engine::{MEMORY_CEILING, Runtime};
use crate::runtime::quota::Quota;
use crate::runtime::statistics::{Counted, Statistics};
use crate::runtime::weight::Weight;
use crate::services::Services;

/// Above this a fresh sandbox costs more than it need: its first pages fault.
const LARGE_GUEST: usize = 256 * 1024;

const FAIL_OPEN: &str = "fail-open is for plugins whose only hook is content: a restriction, an \
 alias or a route that fails \
                         must never count as a yes; take the line out";

/// `[[plugin]]`, as the configuration has it.
#[derive(Clone)]
pub struct PluginConfig {
    /// Its name in chains and logs.
    pub name: String,
    /// The component's bytes.
    pub wasm: Cow<'static, [u8]>,
    /// `[plugin.settings]` as a JSON object.
    pub settings: String,
    /// `[plugin.grants]`.
    pub grants: Grants,
    /// Asked about client and HELO at once, rather than at the first RCPT.
    pub early: bool,
    /// How long an instance lives.
    pub isolation: Isolation,
    /// What one call may use.
    pub limits: Limits,
    /// What follows when it fails.
    pub on_error: OnError,
    /// What its answers count for.
    pub mode: Mode,
    /// In how many sessions of a hundred it is asked. Without a session (the queue) the recipient's
    /// address decides.
    pub share: u8,
    /// The plugin whose place it takes in those sessions; otherwise it has a place of its own.
    pub instead_of: Option<String>,
    /// What is lent to it; none: what is lent to all.
    pub services: Option<Arc<Services>>,
}

impl Default for PluginConfig {
    /// One that decides in every session, and may do nothing else.
    fn default() -> Self {
        Self {
            name: String::new(),
            wasm: Cow::default(),
            settings: "{}".to_owned(),
            grants: Grants::default(),
            early: false,
            isolation: Isolation::default(),
            limits: Limits::default(),
            on_error: OnError::default(),
            mode: Mode::default(),
            share: 100,
            instead_of: None,
            services: None,
        }
    }
}

/// What the answers of a plugin count for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// They decide.
    #[default]
    Enforce,
    /// They are told, and change nothing: neither do actions, notes and edits.
    Shadow,
}

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// No longer than a transaction: nothing it saw can get into another.
    #[default]
    Transaction,
    /// It is asked on behalf of one transaction after the other, and may remember: for speed.
    Shared,
}

/// What one call may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Linear memory of the sandbox, in bytes; at most 64 MiB.
    pub memory: usize,
    /// From the call to its answer, waiting included.
    pub timeout: Duration,
    /// Computing alone, in steps of 5 ms.
    pub cpu: Duration,
    /// The most sandboxes that the plugin may use at once, at least 1. None: half of all, so that a
    /// plugin that hangs leaves the other half to those that don't, and may still use a good part
    /// while nobody else needs it.
    pub concurrency: Option<usize>,
}

impl Default for Limits {
    /// Far more than a policy needs: 16 MiB, 20 s (a slow DNS answer comes within), 500 ms.
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            timeout: Duration::from_secs(20),
            cpu: Duration::from_millis(500),
            concurrency: None,
        }
    }
}

/// What a restriction that fails means for the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// 451 4.3.5: it may try again.
    #[default]
    Defer,
    /// 554 5.3.5.
    Reject,
    /// As if it had said `dunno`. For a plugin whose only hook is `content`, where the operator
    /// takes mail that nobody has looked at for the lesser evil.
    Pass,
}

/// Why a plugin can't be loaded. The version in force stays.
#[derive(Debug, thiserror::Error)]
#[error("plugin \"{plugin}\": {reason}")]
pub struct LoadError {
    /// Which.
    pub plugin: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// A loaded plugin.
pub struct Plugin {
    pub(crate) name: String,
    pub(crate) settings: String,
    pub(crate) grants: Grants,
    pub(crate) early: bool,
    pub(crate) isolation: Isolation,
    pub(crate) limits: Limits,
    pub(crate) on_error: OnError,
    pub(crate) mode: Mode,
    pub(crate) share: u8,
    pub(crate) instead_of: Option<String>,
    pub(crate) services: Option<Arc<Services>>,
    pub(crate) instance_pre: InstancePre<State>,
    pub(crate) hooks: Hooks,
    pub(crate) weight: Weight,
    pub(crate) quota: Quota,
    pub(crate) statistics: Statistics,
    identity: Identity,
    initial: OnceLock<Initial>,
}

/// What `init` left.
struct Initial {
    kept: Vec<u8>,
    stages: Stages,
}

impl Plugin {
    /// Compiles (or maps) it, probes its hooks, runs its `init`s.
    pub(crate) async fn load(
        runtime: &Runtime,
        cache: &CodeCache,
        services: &Arc<Services>,
        config: PluginConfig,
    ) -> Result<Arc<Self>, LoadError> {
        let name = config.name.clone();
        let fail = |reason: String| LoadError { plugin: name.clone(), reason };
        if config.limits.memory > MEMORY_CEILING {
            return Err(fail(format!("its memory may be {} MiB at most", MEMORY_CEILING >> 20)));
        }
        let identity = Identity::of(&config.wasm);
        let component =
            cache.component(&runtime.engine, &config.wasm, &identity.hash).map_err(|error| {
                fail(format!("it isn't a component that facteur can run: {error:#}"))
            })?;
        let instance_pre = runtime.linker.instantiate_pre(&component).map_err(|error| {
            fail(format!(
                "it imports what facteur:policy@0.1.0 doesn't have (WASI, say): {error:#}"
            ))
        })?;
        warn_if_large(&config.name, &component);
        let weight =
            Weight::of(&component, runtime.sandboxes()).map_err(|error| fail(error.to_string()))?;
        let most = share(&config, weight, runtime.sandboxes());
        let plugin = Self {
            hooks: Hooks::find(&component).map_err(|error| fail(error.to_string()))?,
            instance_pre,
            name: config.name,
            settings: config.settings,
            grants: config.grants,
            early: config.early,
            isolation: config.isolation,
            limits: config.limits,
            on_error: config.on_error,
            mode: config.mode,
            share: config.share,
            instead_of: config.instead_of,
            services: config.services,
            weight,
            quota: Quota::new(most),
            statistics: Statistics::new(),
            identity,
            initial: OnceLock::new(),
        };
        if plugin.on_error == OnError::Pass {
            if plugin.hooks() != ["content"] {
                return Err(fail(FAIL_OPEN.into()));
            }
            tracing::warn!(
                plugin = plugin.name,
                "fail-open: while this plugin fails, messages pass that it hasn't looked at"
            );
        }
        let plugin = Arc::new(plugin);
        let initial = plugin.init(runtime, services).await.map_err(fail)?;
        // Set once, here, before anyone else has the plugin.
        let _ = plugin.initial.set(initial);
        Ok(plugin)
    }

    async fn init(
        self: &Arc<Self>,
        runtime: &Runtime,
        services: &Arc<Services>,
    ) -> Result<Initial, String> {
        let trapped =
            |error: crate::contract::sandbox::CallError| format!("its init failed: {error}");
        let services = self.services.as_ref().unwrap_or(services);
        let sandbox = Sandbox::new(runtime, self, services).await.map_err(trapped)?;
        let (mut sandbox, checked) = sandbox
            .ask(async |store, instance| Ok(self.hooks.check(store, instance)))
            .await
            .map_err(trapped)?;
        checked.map_err(|error| error.to_string())?;
        sandbox.state().initializing = Some(Vec::new());
        let (mut sandbox, answer) = sandbox
            .ask(async |store, instance| self.hooks.init(store, instance).await)
            .await
            .map_err(trapped)?;
        let stages = answer.map_err(|reason| printable(&reason))?;
        let kept = sandbox.state().initializing.take().unwrap_or_default();
        Ok(Initial { kept, stages })
    }

    /// Its name in chains and logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hooks that it exports and the host asks.
    pub fn hooks(&self) -> Vec<&'static str> {
        self.hooks.names()
    }

    /// The stages of a session at which its restriction wants to be asked, in their order.
    pub fn stages(&self) -> Vec<&'static str> {
        Stage::NAMES
            .into_iter()
            .filter(|(_, stage)| self.wants(*stage))
            .map(|(name, _)| name)
            .collect()
    }

    /// What it may do.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Which component it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How long its instances live.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// What one call may use; the concurrency is always there.
    pub fn limits(&self) -> Limits {
        Limits { concurrency: Some(self.quota.most()), ..self.limits }
    }

    /// How many sandboxes' room each of its own takes; more than one if it needs more tables or
    /// memories than others.
    pub fn weight(&self) -> u32 {
        self.weight.sandboxes()
    }

    /// What it has been asked since its load.
    pub fn counted(&self) -> Counted {
        self.statistics.counted()
    }

    pub(crate) fn kept(&self) -> &[u8] {
        self.initial.get().map_or(&[], |initial| &initial.kept)
    }

    /// Whether it is asked in the session, or about the recipient, with this name. The same name is
    /// always answered the same.
    pub(crate) fn is_drawn(&self, name: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (&self.name, name).hash(&mut hasher);
        hasher.finish() % 100 < u64::from(self.share)
    }

    pub(crate) fn wants(&self, stage: Stages) -> bool {
        self.hooks.restriction.is_some()
            && self.initial.get().is_some_and(|initial| initial.stages.contains(stage))
    }
}

/// How many sandboxes the plugin may use at once: what the operator says, as far as there is room,
/// or half of all there is room for.
fn share(config: &PluginConfig, weight: Weight, sandboxes: u32) -> usize {
    let plugin = &config.name;
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

fn warn_if_large(plugin: &str, component: &wasmtime::component::Component) {
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
