//! The plugins in force, as an operator sees them: what each is, what it may do and use, how it has
//! been doing since its load.
//!
//! [`entries`] gathers what the running program knows; [`table`] is for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use facteur_policy::{Counted, Isolation, Mode, OnError};
use serde::{Deserialize, Serialize};

use crate::config::{self, Component};
use crate::live::Live;

/// So much of a hash tells components apart.
const SHORT_HASH: usize = 12;

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginEntry {
    /// Its name in chains and logs.
    pub name: String,
    /// `builtin:NAME`, or the path of its component.
    pub component: String,
    /// As its author wrote it into the component.
    pub version: Option<String>,
    /// SHA-256 of the component.
    pub hash: String,
    /// The hooks that it exports.
    pub hooks: Vec<String>,
    /// The stages at which its restriction is asked.
    pub stages: Vec<String>,
    /// What it may do, in words.
    pub grants: Vec<String>,
    /// Whether its answers decide.
    pub mode: String,
    /// How long its instances live: `transaction` or `shared`.
    pub isolation: String,
    /// What its failure means to a session: `defer`, `reject`, or `pass` (it fails open).
    pub on_error: String,
    /// What it may use.
    pub limits: Limits,
    /// What it has been asked, and how it did.
    #[serde(flatten)]
    pub counted: Counted,
}

/// What a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Linear memory of a sandbox, in bytes.
    pub memory: usize,
    /// A question, waiting included, in milliseconds.
    pub timeout_ms: u64,
    /// Computing alone, in milliseconds.
    pub cpu_ms: u64,
    /// Sandboxes at once.
    pub concurrency: usize,
    /// How many sandboxes of the pool each of them counts as.
    pub weight: u32,
}

/// The plugins in force, in the order in which they are asked.
pub fn entries(live: &Live) -> Vec<PluginEntry> {
    let known = |name: &str| live.config.plugins.iter().find(|plugin| plugin.name == name);
    live.policy
        .plugins()
        .iter()
        .filter_map(|plugin| Some(entry(known(plugin.name())?, plugin)))
        .collect()
}

fn entry(written: &config::Plugin, plugin: &facteur_policy::Plugin) -> PluginEntry {
    let words = |words: Vec<&'static str>| words.into_iter().map(str::to_owned).collect();
    let limits = plugin.limits();
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    PluginEntry {
        name: plugin.name().to_owned(),
        component: match &written.component {
            Component::Builtin(name) => format!("builtin:{name}"),
            Component::File(path) => path.display().to_string(),
        },
        version: plugin.identity().version.clone(),
        hash: plugin.identity().hash.clone(),
        hooks: words(plugin.hooks()),
        stages: words(plugin.stages()),
        grants: plugin.grants().words(),
        mode: mode(written),
        isolation: match plugin.isolation() {
            Isolation::Transaction => "transaction".to_owned(),
            Isolation::Shared => "shared".to_owned(),
        },
        on_error: match written.on_error {
            OnError::Defer => "defer".to_owned(),
            OnError::Reject => "reject".to_owned(),
            OnError::Pass => "pass".to_owned(),
        },
        limits: Limits {
            memory: limits.memory,
            timeout_ms: millis(limits.timeout),
            cpu_ms: millis(limits.cpu),
            concurrency: limits.concurrency.unwrap_or_default(),
            weight: plugin.weight(),
        },
        counted: plugin.counted(),
    }
}

/// What the plugin's answers count for, in a word or a few.
fn mode(written: &config::Plugin) -> String {
    let share = if written.share < 100 {
        format!(" in {} % of sessions", written.share)
    } else {
        String::new()
    };
    match (written.mode, &written.instead_of) {
        (Mode::Shadow, _) => format!("shadow{share}"),
        (Mode::Enforce, None) => "enforce".to_owned(),
        (Mode::Enforce, Some(other)) => format!("instead of {other}{share}"),
    }
}

/// What a person reads: how they do, a row each, and below what they are and may do. `time` writes
/// milliseconds since 1970.
pub fn table(entries: &[PluginEntry], time: impl Fn(u64) -> String) -> String {
    if entries.is_empty() {
        return "There is no plugin: nothing is relayed, and only addresses with a mailbox are \
         taken.\n"
            .to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "Plugin", "Version", "Hash", "Mode", "Calls", "Errors", "p50", "p99", "Memory", "Health",
    ]);
    for entry in entries {
        let counted = &entry.counted;
        table.add_row([
            entry.name.clone(),
            entry.version.clone().unwrap_or_else(|| "-".into()),
            entry.hash.chars().take(SHORT_HASH).collect(),
            entry.mode.clone(),
            counted.calls.to_string(),
            errors(&counted.errors),
            counted.p50_micros.map_or_else(|| "-".into(), duration),
            counted.p99_micros.map_or_else(|| "-".into(), duration),
            format!("{} of {}", bytes(counted.memory_peak), bytes(entry.limits.memory as u64)),
            counted
                .failing_since
                .map_or_else(|| "good".into(), |since| format!("failing since {}", time(since))),
        ]);
    }
    let mut text = format!("{table}\n");
    for entry in entries {
        // Writing to a String can't fail.
        let _ = write!(text, "\n{}", describe(entry, &time));
    }
    text
}

fn describe(entry: &PluginEntry, time: impl Fn(u64) -> String) -> String {
    let list =
        |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
    let stages = if entry.stages.is_empty() {
        String::new()
    } else {
        format!(" ({})", entry.stages.join(", "))
    };
    let limits = &entry.limits;
    let weight = if limits.weight > 1 {
        format!(" (each counts as {})", limits.weight)
    } else {
        String::new()
    };
    format!(
        "{}\n  component  {}\n  hooks      {}{stages}\n  grants     {}\n  isolation  {}\n  \
         on-error   {}\n  limits     memory {}, \
         timeout {}, cpu {}, concurrency {}{weight}\n  loaded     {}\n",
        entry.name,
        entry.component,
        list(&entry.hooks),
        if entry.grants.is_empty() { "none".to_owned() } else { entry.grants.join("; ") },
        entry.isolation,
        entry.on_error,
        bytes(limits.memory as u64),
        duration(limits.timeout_ms.saturating_mul(1_000)),
        duration(limits.cpu_ms.saturating_mul(1_000)),
        limits.concurrency,
        time(entry.counted.loaded_at),
    )
}

/// "trap 3, timeout 1"; "0" where there are none.
fn errors(errors: &BTreeMap<String, u64>) -> String {
    if errors.is_empty() {
        return "0".into();
    }
    errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

/// Microseconds, in the unit that suits them.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => tenths(micros, 1_000, "ms"),
        _ => tenths(micros, 1_000_000, "s"),
    }
}

/// Octets, in the unit that suits them.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => tenths(bytes, 1_024, "KiB"),
        _ => tenths(bytes, 1_048_576, "MiB"),
    }
}

fn tenths(value: u64, unit: u64, name: &str) -> String {
    let tenths = u128::from(value) * 10 / u128::from(unit);
    if tenths % 10 == 0 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_their_units() {
        assert_eq!(
            (duration(17).as_str(), duration(1_250).as_str(), duration(20_000_000).as_str()),
            ("17 µs", "1.2 ms", "20 s")
        );
        assert_eq!(
            (bytes(65_536).as_str(), bytes(16 << 20).as_str(), bytes(1_100_000).as_str()),
            ("64 KiB", "16 MiB", "1 MiB")
        );
    }
}
