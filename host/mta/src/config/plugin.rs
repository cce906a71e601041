//! `[policy]` and `[[plugin]]`: the plugins, what they may do, and what they may use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use facteur_policy::{Grants, Isolation, Limits, Mode, OnError};

use super::reader::{Section, Value};
use super::report::Kind;

/// The plugins that are embedded in the binary: what `component = "builtin:NAME"` may name.
pub const BUILTINS: [&str; 8] = [
    "restrictions",
    "aliases",
    "transport-map",
    "clamav",
    "header-checks",
    "greylist",
    "dnsbl",
    "rate-limit",
];

/// What is remembered by default: ten thousand different ways to an answer, or some more.
const MEMO: usize = 32 << 20;
/// More is of no use: what comes again comes within an hour.
const MOST_MEMO: u64 = 4 << 30;
/// A sandbox can't start in less memory than this: its stack alone is some KiB.
const LEAST_MEMORY: u64 = 64 << 10;
/// What a slot of the pool has.
const MOST_MEMORY: u64 = 64 << 20;
/// How long a client waits for an answer without giving up (RFC 5321 section 4.5.3.2: 5 minutes at
/// RCPT).
const LONGEST_CALL: Duration = Duration::from_mins(2);

/// How long a plugin in the shadow may take by default: the client waits for an answer that changes
/// nothing.
const SHADOW_TIMEOUT: Duration = Duration::from_secs(1);

/// `[policy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    /// Where compiled plugins are kept. Default: `compiled` in the spool.
    pub cache: PathBuf,
    /// Sandboxes at once: one for each plugin of each transaction under way. Default 1,000.
    pub sandboxes: u32,
    /// What may be remembered of plugins' answers, in bytes, all plugins together; 0: nothing.
    /// Default 32 MiB.
    pub memo: usize,
}

/// One `[[plugin]]`.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its name in chains and logs; unique.
    pub name: String,
    /// Where its code is.
    pub component: Component,
    /// `[plugin.settings]` as a JSON object. Default "{}".
    pub settings: String,
    /// `[plugin.grants]`. Default: nothing.
    pub grants: Grants,
    /// Asked about client and HELO when they come, rather than at the first RCPT. Default: no.
    pub early: bool,
    /// How long its instances live. Default: no longer than a transaction.
    pub isolation: Isolation,
    /// What one call may use, and how many sandboxes at once. The defaults are `[policy]`'s
    /// `memory`, `call-timeout` and `call-cpu`, and theirs [`Limits::default`].
    pub limits: Limits,
    /// What its failure means where a session is there to hear it: `on-error`, and `fail-open` for
    /// [`OnError::Pass`]. Default: try later. Elsewhere it always means that.
    pub on_error: OnError,
    /// Whether its answers decide. Default: they do.
    pub mode: Mode,
    /// In how many sessions of a hundred it is asked. Default: in all.
    pub share: u8,
    /// The plugin whose place it takes in those sessions. Default: none, it has a place of its own.
    pub instead_of: Option<String>,
}

/// Where a plugin's code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// In the binary, by name: one of [`BUILTINS`].
    Builtin(String),
    /// In a file.
    File(PathBuf),
}

/// Reads `[policy]`, and what a call may use unless its plugin says otherwise.
pub(super) fn read_policy(section: &mut Section<'_>, spool: &Path) -> (PolicySettings, Limits) {
    let defaults = Limits::default();
    let settings = PolicySettings {
        cache: section.get("cache", Value::path).unwrap_or_else(|| spool.join("compiled")),
        sandboxes: section.or("sandboxes", 1_000, |value| value.integer(4..=10_000)),
        memo: section
            .get("memo", |value| value.size(0..=MOST_MEMO))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(MEMO),
    };
    (settings, limits(section, ["memory", "call-timeout", "call-cpu"], defaults))
}

/// Reads one `[[plugin]]`.
pub(super) fn read(section: &mut Section<'_>, defaults: Limits) -> Option<Plugin> {
    let name = section.required("name", "\"…\"", |value| {
        value.parse(|text| {
            let right = !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if right {
                Ok(text.to_owned())
            } else {
                Err("letters, digits, \"-\", \"_\" and \".\"".into())
            }
        })
    });
    let component = section.required("component", "\"builtin:restrictions\"", component);
    let settings = section.get("settings", |value| {
        value.entries()?;
        value.json().map(|json| json.to_string())
    });
    let grants = section.section("grants", grants);
    let early = section.or("early", false, Value::boolean);
    let isolation = section.or("isolation", Isolation::Transaction, |value| {
        value.one_of(&[("transaction", Isolation::Transaction), ("shared", Isolation::Shared)])
    });
    let mode = section.or("mode", Mode::Enforce, |value| {
        value.one_of(&[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)])
    });
    let instead_of = section.get("instead-of", |value| match (value.string()?, mode) {
        (_, Mode::Shadow) => value.error(
            "a plugin in the shadow takes nobody's place",
            "not together with mode = \"shadow\"",
            "leave it out: the plugin is asked beside the version in force",
        ),
        (other, _) if name.as_deref() == Some(other) => value.error(
            "a plugin can't take its own place",
            "its own name",
            "name the plugin that is in force",
        ),
        (_, Mode::Enforce) => value.name_of(Kind::Plugin),
    });
    let share = section.get("share", |value| match (mode, &instead_of) {
        (Mode::Enforce, None) => value.error(
            "a plugin that decides is asked in every session",
            "for a candidate only",
            "add mode = \"shadow\", or instead-of = \"…\" with the name of the version in force",
        ),
        _ => value.integer(1..=100),
    });
    // In the shadow the client waits for it all the same, so that it gets less time.
    let defaults = if mode == Mode::Shadow {
        Limits { timeout: SHADOW_TIMEOUT.min(defaults.timeout), ..defaults }
    } else {
        defaults
    };
    let mut limits = limits(section, ["memory", "timeout", "cpu"], defaults);
    limits.concurrency = section.get("concurrency", |value| value.integer(1..=10_000));
    let on_error = section.or("on-error", OnError::Defer, |value| match value.string()? {
        "dunno" => value.error(
            "a plugin that fails can't count as one without an opinion",
            "not possible",
            "\"defer\" (try later) or \"reject\": otherwise a crash would let through what the \
             plugin is there to stop. For a \
             plugin that only inspects content, fail-open = true says that",
        ),
        _ => value.one_of(&[("defer", OnError::Defer), ("reject", OnError::Reject)]),
    });
    let fail_open = section.get("fail-open", |value| match value.boolean()? {
        true if on_error == OnError::Reject => value.error(
            "a plugin that fails can't both reject and let messages pass",
            "against on-error",
            "take one of the two lines out",
        ),
        open => Some(open),
    });
    let on_error = if fail_open == Some(true) { OnError::Pass } else { on_error };
    let settings = settings.unwrap_or_else(|| "{}".to_owned());
    // A component that is wrong is reported; the plugin counts all the same, so that nobody is told
    // that it isn't there.
    let component = component.unwrap_or_else(|| Component::Builtin(String::new()));
    let share = share.unwrap_or(100);
    Some(Plugin {
        name: name?,
        component,
        settings,
        grants,
        early,
        isolation,
        limits,
        on_error,
        mode,
        share,
        instead_of,
    })
}

fn component(value: &Value<'_>) -> Option<Component> {
    match value.string()?.strip_prefix("builtin:") {
        None => value.path().map(Component::File),
        Some(name) if BUILTINS.contains(&name) => Some(Component::Builtin(name.to_owned())),
        Some(name) => value.error(
            format!("there is no built-in plugin \"{name}\""),
            "not in the binary",
            format!("these are built in: {}", BUILTINS.join(", ")),
        ),
    }
}

fn grants(section: &mut Section<'_>) -> Grants {
    section.refuse(
        "deliver-to",
        "the grant `deliver-to` can't be given",
        "take it out: mail isn't delivered to commands and files; such a result of an alias \
         bounces singly",
    );
    Grants {
        dns: section.or("dns", false, Value::boolean),
        relay: section.or("relay", false, Value::boolean),
        lookup: section.get("lookup", |v| v.list(|v| v.name_of(Kind::Table))).unwrap_or_default(),
        scanner: section
            .get("scanner", |v| v.list(|v| v.name_of(Kind::Scanner)))
            .unwrap_or_default(),
        counters: section
            .get("counters", |v| v.list(|v| v.name_of(Kind::Counters)))
            .unwrap_or_default(),
        verify: section.or("verify", false, Value::boolean),
        files: section.get("files", |v| v.list(|v| v.name_of(Kind::Folder))).unwrap_or_default(),
        files_write: section
            .get("files-write", |v| v.list(|v| v.name_of(Kind::Folder)))
            .unwrap_or_default(),
        connect: section
            .get("connect", |v| v.list(|v| v.name_of(Kind::Service)))
            .unwrap_or_default(),
        include: section.get("include", |v| v.list(Value::path)).unwrap_or_default(),
    }
}

/// What a call may use, under the given names for memory, timeout and computing time.
fn limits(section: &mut Section<'_>, keys: [&'static str; 3], defaults: Limits) -> Limits {
    let [memory, timeout, cpu] = keys;
    let calls = Duration::from_millis(5)..=LONGEST_CALL;
    let bytes = section.get(memory, |value| value.size(LEAST_MEMORY..=MOST_MEMORY));
    Limits {
        memory: bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(defaults.memory),
        timeout: section.or(timeout, defaults.timeout, |value| value.duration(calls.clone())),
        cpu: section.or(cpu, defaults.cpu, |value| value.duration(calls)),
        concurrency: defaults.concurrency,
    }
}
