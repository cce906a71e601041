//! The pace of guests that compute for long: however many there are, together they take half of the
//! processors at most, and questions that are answered at once don't wait behind them.
//!
//! There is no queue and nothing to hold: after each tick of computing such a guest pauses, for the
//! longer the more there are. The pauses aren't computing time, but they count towards the plugin's
//! timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often running guests are looked at: short enough that a loop can't hold a thread noticeably,
/// long enough to cost nothing.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Ticks of a question that go by without a pause. A guest that waits for the host sees a tick
/// after each wait, without having computed.
const FREE_TICKS: u32 = 2;

/// What all guests of a runtime share.
pub(crate) struct Pace {
    /// Guests past their free ticks.
    computing: AtomicU32,
    /// Processors that they may keep busy.
    processors: u32,
}

impl Pace {
    pub(crate) fn new() -> Arc<Self> {
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let processors = u32::try_from(all / 2).unwrap_or(u32::MAX).max(1);
        Arc::new(Self { computing: AtomicU32::default(), processors })
    }
}

/// The pace of one sandbox.
pub(crate) struct Pacer {
    pace: Arc<Pace>,
    ticks: u32,
}

impl Pacer {
    pub(crate) fn new(pace: &Arc<Pace>) -> Self {
        Self { pace: pace.clone(), ticks: 0 }
    }

    /// A question begins, or has ended.
    pub(crate) fn reset(&mut self) {
        if std::mem::take(&mut self.ticks) > FREE_TICKS {
            self.pace.computing.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A tick has gone by: how long to pause now, if at all.
    pub(crate) fn tick(&mut self) -> Option<Duration> {
        self.ticks = self.ticks.saturating_add(1);
        let computing = match self.ticks.cmp(&(FREE_TICKS + 1)) {
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Equal => self.pace.computing.fetch_add(1, Ordering::Relaxed) + 1,
            std::cmp::Ordering::Greater => self.pace.computing.load(Ordering::Relaxed),
        };
        // n guests that compute for one tick in each 1 + n/p keep fewer than p processors busy.
        Some(TICK * computing / self.pace.processors)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_compute_the_longer_they_pause() {
        let pace = Arc::new(Pace { computing: AtomicU32::default(), processors: 2 });
        let mut all: Vec<Pacer> = (0..8).map(|_| Pacer::new(&pace)).collect();
        for _ in 0..FREE_TICKS {
            assert!(all.iter_mut().all(|one| one.tick().is_none()));
        }
        let pauses: Vec<_> = all.iter_mut().filter_map(Pacer::tick).collect();
        assert_eq!((pauses[0], pauses[7]), (TICK / 2, TICK * 4));
        assert_eq!(all[0].tick(), Some(TICK * 4));
        all.truncate(1);
        assert_eq!(all[0].tick(), Some(TICK / 2), "who is gone doesn't count");
        all[0].reset();
        assert_eq!((all[0].tick(), pace.computing.load(Ordering::Relaxed)), (None, 0));
    }
}
