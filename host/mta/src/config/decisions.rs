//! `[decisions]`: how much of what was decided, and why, is kept for `facteur explain`.

use std::time::Duration;

use facteur_policy::Facts;

use super::reader::{Section, Value};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionsSettings {
    /// All of it together, in bytes; the oldest goes first. 0: nothing is kept. Default 256 MiB:
    /// about half a million messages.
    pub size: u64,
    /// Of which answers it is kept what they depended on. Default: of refusals.
    pub facts: Facts,
    /// For how long. Default 7 days: longer than a message may be in the queue.
    pub keep: Duration,
}

pub(super) fn read(section: &mut Section<'_>) -> DecisionsSettings {
    let days = |days: u64| Duration::from_hours(24 * days);
    DecisionsSettings {
        facts: section.or("facts", Facts::OfRefusals, |value| {
            value.one_of(&[("refusals", Facts::OfRefusals), ("all", Facts::OfAll)])
        }),
        size: section.or("size", 256 << 20, |value| value.size(0..=1 << 40)),
        keep: section.or("keep", days(7), |value: &Value<'_>| {
            value.duration(Duration::from_mins(1)..=days(400))
        }),
    }
}
