//! One loaded plugin: its code, what it exports, what it may do, what its `init` kept.
//!
//! A plugin is whatever it exports: the hooks are probed one interface at a time, so that a new kind of hook never breaks an old
//! plugin. A plugin that exports none the host knows, or whose `init` says no, is an error of the load.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wasmtime::component::InstancePre;

use crate::bindings::restriction::exports::facteur::policy::restriction::Stages;
use crate::code::CodeCache;
use crate::engine::{MEMORY_CEILING, Runtime};
use crate::grants::Grants;
use crate::hooks::Hooks;
use crate::imports::printable;
use crate::sandbox::{Sandbox, State, View};
use crate::services::Services;

/// Above this a fresh sandbox costs more than it need: its first pages fault.
const LARGE_GUEST: usize = 256 * 1024;

const NO_HOOK: &str =
    "it exports no hook of facteur:policy@0.1.0 (restriction, alias, transport, content, authenticate, delivery)";

const FAIL_OPEN: &str = "fail-open is for plugins whose only hook is content: a restriction, an alias or a route that fails \
                         must never count as a yes; take the line out";

/// `[[plugin]]`, as the configuration has it.
#[derive(Debug, Clone)]
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
    /// What one call may use.
    pub limits: Limits,
    /// What follows when it fails.
    pub on_error: OnError,
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
}

impl Default for Limits {
    /// Far more than a policy needs: 16 MiB, 20 s (a slow DNS answer comes within), 500 ms.
    fn default() -> Self {
        Self { memory: 16 << 20, timeout: Duration::from_secs(20), cpu: Duration::from_millis(500) }
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
    /// As if it had said `dunno`. For a plugin whose only hook is `content`, where the operator takes mail that nobody has looked at for
    /// the lesser evil.
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
    pub(crate) limits: Limits,
    pub(crate) on_error: OnError,
    pub(crate) instance_pre: InstancePre<State>,
    pub(crate) hooks: Hooks,
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
        services: &Arc<dyn Services>,
        config: PluginConfig,
    ) -> Result<Arc<Self>, LoadError> {
        let name = config.name.clone();
        let fail = |reason: String| LoadError { plugin: name.clone(), reason };
        if config.limits.memory > MEMORY_CEILING {
            return Err(fail(format!("its memory may be {} MiB at most", MEMORY_CEILING >> 20)));
        }
        let component = cache
            .component(&runtime.engine, &config.wasm)
            .map_err(|error| fail(format!("it isn't a component that facteur can run: {error:#}")))?;
        let instance_pre = runtime.linker.instantiate_pre(&component).map_err(|error| {
            fail(format!("it imports what facteur:policy@0.1.0 doesn't have (WASI, say): {error:#}"))
        })?;
        warn_if_large(&config.name, &component);
        let plugin = Self {
            hooks: Hooks::find(&component),
            instance_pre,
            name: config.name,
            settings: config.settings,
            grants: config.grants,
            early: config.early,
            limits: config.limits,
            on_error: config.on_error,
            initial: OnceLock::new(),
        };
        if plugin.hooks().is_empty() {
            return Err(fail(NO_HOOK.into()));
        }
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

    async fn init(self: &Arc<Self>, runtime: &Runtime, services: &Arc<dyn Services>) -> Result<Initial, String> {
        let trapped = |error: crate::sandbox::CallError| format!("its init failed: {error}");
        let mut sandbox = Sandbox::new(runtime, self, services, View::default()).await.map_err(trapped)?;
        sandbox.state().initializing = Some(Vec::new());
        let (mut sandbox, answer) =
            sandbox.ask(async |store, instance| self.hooks.init(store, instance).await).await.map_err(trapped)?;
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

    pub(crate) fn kept(&self) -> &[u8] {
        self.initial.get().map_or(&[], |initial| &initial.kept)
    }

    pub(crate) fn wants(&self, stage: Stages) -> bool {
        self.hooks.restriction.is_some() && self.initial.get().is_some_and(|initial| initial.stages.contains(stage))
    }
}

fn warn_if_large(plugin: &str, component: &wasmtime::component::Component) {
    let Some(needs) = component.resources_required() else { return };
    let initial = needs.max_initial_memory_size.unwrap_or(0);
    if initial > LARGE_GUEST as u64 {
        tracing::warn!(
            plugin,
            initial,
            "a fresh sandbox will be slow: link with a stack of 32 KiB (-zstack-size=32768 --stack-first)"
        );
    }
}
