//! One loaded plugin: its code, what it exports, what it may do, what its `init` kept.
//!
//! A plugin is asked what it exports, but for what its `init` skips. A plugin that exports what the
//! host wouldn't ask, that has no room in the pool, or whose `init` says no, is an error of the
//! load.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::contract::context::{Context, Initializing, Profile, Runtime};
use crate::contract::exports::{Exports, HookName};
use crate::contract::text::printable;
use crate::domains::Domains;
use crate::grants::Grants;
use crate::identity::Identity;
use crate::memo::{Memo, Memos, Remembered};
use crate::runtime::compile_cache::CompileCache;
use crate::runtime::error::CallError;
use crate::runtime::guest::{Guest, GuestConfig};
use crate::runtime::limits::{Isolation, Limits};
use crate::runtime::statistics::Counted;
use crate::services::Services;
use crate::settings::Settings;

const FAIL_OPEN: &str = "fail-open is for plugins whose only hook is on-content: a restriction, an \
                         alias or a route that fails must never count as a yes; take the line out";

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

/// What a restriction that fails means for the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// 451 4.3.5: it may try again.
    #[default]
    Defer,
    /// 554 5.3.5.
    Reject,
    /// As if it had no opinion. For a plugin whose only hook is `on-content`, where the operator
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
    pub(crate) guest: Arc<Guest<Context>>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) exports: Exports,
    pub(crate) early: bool,
    pub(crate) on_error: OnError,
    pub(crate) mode: Mode,
    pub(crate) share: u8,
    pub(crate) instead_of: Option<String>,
    pub(crate) services: Option<Arc<Services>>,
    /// What is remembered of each hook, by its number.
    memos: [Option<Arc<Memo>>; HookName::ALL.len()],
    identity: Identity,
}

/// The plugins that are asked, in order.
pub type Chain = Arc<[Arc<Plugin>]>;

impl Plugin {
    /// Compiles it (or takes it from the cache), finds its hooks, runs its `init`.
    pub(crate) async fn load(
        runtime: &Runtime,
        cache: &CompileCache,
        services: &Arc<Services>,
        domains: &Arc<Domains>,
        memory: &Memos,
        config: PluginConfig,
    ) -> Result<Arc<Self>, LoadError> {
        let name = config.name.clone();
        let fail = |reason: String| LoadError { plugin: name.clone(), reason };
        let identity = Identity::of(&config.wasm);
        let of_guest = GuestConfig {
            name: &config.name,
            wasm: &config.wasm,
            hash: &identity.hash,
            isolation: config.isolation,
            limits: config.limits,
        };
        let loaded = Guest::load(runtime.machine(), runtime.sandboxes(), cache, &of_guest);
        let (guest, component) = loaded.map_err(|error| fail(error.to_string()))?;
        let guest = Arc::new(guest);
        let mut exports = Exports::find(&component).map_err(|error| fail(error.to_string()))?;
        if config.on_error == OnError::Pass {
            if exports.hooks().any(|hook| hook != HookName::Content) {
                return Err(fail(FAIL_OPEN.into()));
            }
            tracing::warn!(
                plugin = config.name,
                "fail-open: while this plugin fails, messages pass that it hasn't looked at"
            );
        }
        let mut profile = Profile {
            name: config.name,
            settings: Settings::parse(config.settings).map_err(fail)?,
            grants: config.grants,
            kept: Vec::new(),
        };
        let of_init = Arc::new(profile.clone());
        let lent = config.services.as_ref().unwrap_or(services);
        let context = || Context::new(&of_init, lent, domains);
        let initial = init(runtime, &guest, &exports, context).await.map_err(fail)?;
        profile.kept = initial.kept;
        for hook in initial.skipped {
            exports.skip(hook);
        }
        let memos = HookName::ALL.map(|hook| {
            let is_fresh = guest.isolation == Isolation::Transaction && !hook.is_secret();
            let memo = is_fresh && exports.has(hook);
            memo.then(|| memory.memo(of_memo(hook, &identity, &profile, guest.limits))).flatten()
        });
        Ok(Arc::new(Self {
            guest,
            memos,
            profile: Arc::new(profile),
            exports,
            early: config.early,
            on_error: config.on_error,
            mode: config.mode,
            share: config.share,
            instead_of: config.instead_of,
            services: config.services,
            identity,
        }))
    }

    /// Its name in chains and logs.
    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// The hooks that it is asked, in the order of a message's way: "on-rcpt".
    pub fn hooks(&self) -> Vec<&'static str> {
        self.exports.hooks().map(HookName::name).collect()
    }

    /// What it may do.
    pub fn grants(&self) -> &Grants {
        &self.profile.grants
    }

    /// Which component it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How long its instances live.
    pub fn isolation(&self) -> Isolation {
        self.guest.isolation
    }

    /// What one call may use; the concurrency is always there.
    pub fn limits(&self) -> Limits {
        Limits { concurrency: Some(self.guest.quota.most()), ..self.guest.limits }
    }

    /// How many sandboxes' room each of its own takes; more than one if it needs more tables or
    /// memories than others.
    pub fn weight(&self) -> u32 {
        self.guest.weight.sandboxes()
    }

    /// What is remembered of this hook, if anything is to be.
    pub(crate) fn memo(&self, hook: HookName) -> Option<&Arc<Memo>> {
        self.memos[hook as usize].as_ref()
    }

    /// What is remembered of its answers.
    pub fn remembered(&self) -> Remembered {
        let all = self.memos.iter().flatten().map(|memo| memo.remembered());
        all.reduce(Remembered::and).unwrap_or_default()
    }

    /// What it has been asked since its load.
    pub fn counted(&self) -> Counted {
        self.guest.statistics.counted()
    }

    /// Whether it is asked in the session, or about the recipient, with this name. The same name is
    /// always answered the same.
    pub(crate) fn is_drawn(&self, name: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.name(), name).hash(&mut hasher);
        hasher.finish() % 100 < u64::from(self.share)
    }

    /// Whether it is asked this.
    pub(crate) fn wants(&self, hook: HookName) -> bool {
        self.exports.has(hook)
    }
}

/// All that an answer depends on besides what the host is asked.
fn of_memo(hook: HookName, identity: &Identity, profile: &Profile, limits: Limits) -> String {
    let text = format!("{hook:?} {} {profile:?} {limits:?}", identity.hash);
    format!("{:x}", Sha256::digest(text))
}

/// Runs the `init` of a plugin: what it keeps, and what it skips.
async fn init(
    runtime: &Runtime,
    guest: &Arc<Guest<Context>>,
    exports: &Exports,
    context: impl FnOnce() -> Context,
) -> Result<Initializing, String> {
    let failed = |error: CallError| format!("its init failed: {error}");
    let reserved = runtime.reserve(guest, false).await.map_err(failed)?;
    let mut sandbox = runtime.make(guest, reserved, context).await.map_err(failed)?;
    let exported = exports.hooks().collect();
    let fresh = Initializing { exported, skipped: Vec::new(), kept: Vec::new() };
    sandbox.context().initializing = Some(fresh);
    let asked = sandbox
        .ask(guest.limits.timeout, async |store, instance| exports.init(store, instance).await)
        .await;
    let (mut sandbox, answer) = asked.map_err(failed)?;
    answer.map_err(|reason| printable(&reason))?;
    sandbox.context().initializing.take().ok_or_else(|| "its init failed".to_owned())
}
