//! What a plugin has been asked since its load, how it answered, and how long that took: counted at
//! the one door to it, for whoever operates the program.
//!
//! All of it is atomic and nothing is locked: a question costs a few additions. Readers may see a
//! question counted and its time not yet. A reload begins anew.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::runtime::error::CallError;

/// So many failures in a row are no accident: one bad message is not enough, and a plugin that is
/// broken gets there within seconds.
pub const FAILURES_IN_A_ROW: u32 = 5;

/// Steps within each power of two: a time is told with an error of 6 % at most.
const STEPS: usize = 8;
/// From 1 ns to the longest that 64 bits hold.
const BUCKETS: usize = 64 * STEPS;

/// What is counted of one plugin.
pub(crate) struct Statistics {
    loaded_at: u64,
    calls: AtomicU64,
    errors: [AtomicU64; CallError::LABELS.len()],
    times: Histogram,
    memory: AtomicU64,
    in_a_row: AtomicU32,
    /// Milliseconds since 1970; 0 if it isn't.
    failing_since: AtomicU64,
}

/// The numbers, as they were when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When counting began, in milliseconds since 1970.
    pub loaded_at: u64,
    /// Questions, those without an answer too.
    pub calls: u64,
    /// Questions without an answer, by kind: trap, timeout, cpu, failure, busy. Kinds that didn't
    /// happen are left out.
    pub errors: BTreeMap<String, u64>,
    /// Half of the questions took no longer, in microseconds, waiting included; within 6 %. None
    /// before the first.
    pub p50_micros: Option<u64>,
    /// The same for 99 of 100.
    pub p99_micros: Option<u64>,
    /// The most linear memory that one of its sandboxes had, in bytes.
    pub memory_peak: u64,
    /// Since when it has failed each time, in milliseconds since 1970, once that was
    /// [`FAILURES_IN_A_ROW`].
    pub failing_since: Option<u64>,
}

impl Statistics {
    pub(crate) fn new() -> Self {
        Self {
            loaded_at: now(),
            calls: AtomicU64::default(),
            errors: Default::default(),
            times: Histogram::default(),
            memory: AtomicU64::default(),
            in_a_row: AtomicU32::default(),
            failing_since: AtomicU64::default(),
        }
    }

    /// Counts a question to this plugin. The first of [`FAILURES_IN_A_ROW`] and the first answer
    /// after them are told to the log.
    pub(crate) fn note(&self, plugin: &str, took: Duration, error: Option<&CallError>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.times.add(took);
        let Some(error) = error else {
            // Looked at before it is written to: for a plugin that is well this line of memory is
            // only read.
            if self.in_a_row.load(Ordering::Relaxed) != 0
                && self.in_a_row.swap(0, Ordering::Relaxed) >= FAILURES_IN_A_ROW
            {
                self.failing_since.store(0, Ordering::Relaxed);
                tracing::info!(plugin, "the plugin answers again");
            }
            return;
        };
        if let Some(kind) = CallError::LABELS.iter().position(|label| *label == error.label()) {
            self.errors[kind].fetch_add(1, Ordering::Relaxed);
        }
        // That no sandbox is free says nothing about the plugin.
        if *error == CallError::Busy {
            return;
        }
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 == FAILURES_IN_A_ROW {
            self.failing_since.store(now(), Ordering::Relaxed);
            tracing::error!(
                plugin,
                failures = FAILURES_IN_A_ROW,
                last = format!("{}: {error}", error.label()),
                "the plugin fails again and again: what it is asked about gets what its on-error \
                 says"
            );
        }
    }

    /// A sandbox of it has so much memory, in bytes.
    pub(crate) fn note_memory(&self, bytes: usize) {
        let bytes = bytes as u64;
        if self.memory.load(Ordering::Relaxed) < bytes {
            self.memory.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        let errors = CallError::LABELS
            .iter()
            .zip(&self.errors)
            .map(|(label, count)| (label, count.load(Ordering::Relaxed)));
        let failing_since = self.failing_since.load(Ordering::Relaxed);
        let [p50_micros, p99_micros] = self.times.at([50, 99]);
        Counted {
            loaded_at: self.loaded_at,
            calls: self.calls.load(Ordering::Relaxed),
            errors: errors
                .filter(|(_, count)| *count > 0)
                .map(|(label, count)| ((*label).to_owned(), count))
                .collect(),
            p50_micros,
            p99_micros,
            memory_peak: self.memory.load(Ordering::Relaxed),
            failing_since: (failing_since > 0).then_some(failing_since),
        }
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How many questions took how long, in steps that grow with the time.
struct Histogram(Box<[AtomicU64; BUCKETS]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new([const { AtomicU64::new(0) }; BUCKETS]))
    }
}

impl Histogram {
    fn add(&self, took: Duration) {
        self.0[bucket(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))]
            .fetch_add(1, Ordering::Relaxed);
    }

    /// What so many of a hundred don't exceed, in microseconds, rounded up.
    fn at<const N: usize>(&self, percents: [u64; N]) -> [Option<u64>; N] {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        percents.map(|percent| {
            let wanted = (all * percent).div_ceil(100);
            let mut so_far = 0;
            let found = counts.iter().position(|count| {
                so_far += count;
                *count > 0 && so_far >= wanted
            })?;
            Some(middle(found).div_ceil(1_000))
        })
    }
}

/// The bucket of a time: its power of two, and the next three bits.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS as u64);
    let power = nanos.ilog2();
    let step = (nanos >> (power - STEPS.ilog2())) % STEPS as u64;
    // Less than STEPS, whatever the pointers' width.
    power as usize * STEPS + usize::try_from(step).unwrap_or(STEPS - 1)
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, bucket % STEPS);
    let width = 1u128 << power;
    let low = width + width * step as u128 / STEPS as u128;
    u64::try_from(low + width / STEPS as u128 / 2).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_within_six_percent() {
        for nanos in [10, 999, 1_000, 12_345, 1_000_000, 20_000_000_000, u64::MAX / 3] {
            let told = middle(bucket(nanos));
            assert!(told.abs_diff(nanos) <= nanos / 16 + 1, "{nanos} is told as {told}");
        }
        // Nothing is out of bounds.
        assert!(bucket(0) < BUCKETS && bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn half_and_nearly_all_are_found() {
        let statistics = Statistics::new();
        assert_eq!(
            (statistics.counted().p50_micros, statistics.counted().p99_micros),
            (None, None)
        );
        for _ in 0..98 {
            statistics.note("p", Duration::from_micros(100), None);
        }
        for _ in 0..2 {
            statistics.note("p", Duration::from_millis(50), None);
        }
        let counted = statistics.counted();
        assert!((94..=107).contains(&counted.p50_micros.unwrap()), "{counted:?}");
        assert!((47_000..=53_000).contains(&counted.p99_micros.unwrap()), "{counted:?}");
        assert_eq!((counted.calls, counted.errors.len()), (100, 0));
    }

    #[test]
    fn it_fails_since_the_fifth_failure_until_it_answers() {
        let statistics = Statistics::new();
        let trap = CallError::Trap("unreachable".into());
        let note = |error: Option<&CallError>| {
            statistics.note("p", Duration::from_micros(1), error);
            statistics.counted().failing_since.is_some()
        };
        for _ in 1..FAILURES_IN_A_ROW {
            assert!(!note(Some(&trap)));
            // Neither a failure of the plugin nor an answer.
            assert!(!note(Some(&CallError::Busy)));
        }
        assert!(note(Some(&trap)));
        assert!(note(Some(&trap)));
        assert!(!note(None));
        assert!(!note(Some(&trap)), "counting begins anew");
        let errors = statistics.counted().errors;
        assert_eq!(
            (errors["trap"], errors["busy"]),
            (u64::from(FAILURES_IN_A_ROW) + 2, u64::from(FAILURES_IN_A_ROW) - 1)
        );
    }
}
