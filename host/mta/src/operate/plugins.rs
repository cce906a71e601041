//! What the running program knows of the plugins in force: what each is, what it may do and use,
//! how it has been doing since its load.

use facteur_policy::{Isolation, Mode, OnError};

use super::protocol::{Limits, PluginEntry};
use crate::config::{self, Component};
use crate::snapshot::Snapshot;

/// The plugins in force, in the order in which they are asked.
pub fn entries(snapshot: &Snapshot) -> Vec<PluginEntry> {
    let known = |name: &str| snapshot.config.plugins.iter().find(|plugin| plugin.name == name);
    snapshot
        .policy
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
        remembered: plugin.remembered(),
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
