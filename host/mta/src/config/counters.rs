//! `[counters.NAME]`: stores of counters that plugins may be granted.

use super::reader::{Section, Value};

/// One store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterStore {
    /// The most keys; of more, those with the least time left go. Default 100,000: some 20 MB.
    pub keys: usize,
    /// Whether it outlives a restart. Default: no.
    pub durable: bool,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a section that can't be read is none; nothing of this one can be missing"
)]
pub(super) fn read(section: &mut Section<'_>) -> Option<CounterStore> {
    Some(CounterStore {
        keys: section.or("keys", 100_000, |value| value.integer(1..=10_000_000)),
        durable: section.or("durable", false, Value::boolean),
    })
}
