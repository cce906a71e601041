//! The table of `facteur plugin list`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use facteur_policy::Remembered;

use crate::operate::protocol::PluginEntry;

/// So much of a hash tells components apart.
const SHORT_HASH: usize = 12;

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
    let limits = &entry.limits;
    let weight = if limits.weight > 1 {
        format!(" (each counts as {})", limits.weight)
    } else {
        String::new()
    };
    format!(
        "{}\n  component  {}\n  hooks      {}\n  grants     {}\n  isolation  {}\n  \
         on-error   {}\n  limits     memory {}, \
         timeout {}, cpu {}, concurrency {}{weight}\n  remembered {}\n  loaded     {}\n",
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
        remembered(entry.remembered),
        time(entry.counted.loaded_at),
    )
}

/// How much of what it was asked needed no sandbox.
fn remembered(of: Remembered) -> String {
    let all = of.hits + of.misses;
    if all == 0 {
        return "nothing".to_owned();
    }
    let share = u128::from(of.hits) * 100 / u128::from(all);
    format!("{} hits, {} misses ({share} %), {}", of.hits, of.misses, bytes(of.octets))
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
