//! The time of the counters: even while the program runs, whatever becomes of the machine's clock.
//!
//! A clock that was ahead and is set right would make every age and every wait wrong by that much.
//! So entries have times of this clock, in microseconds, and what is written to the disk has the
//! machine's, since it has to mean something after a restart.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Begins at the machine's time, and goes on by itself. Cheap to clone.
#[derive(Clone)]
pub struct Clock {
    began: Instant,
    began_at: u64,
    wall: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::beside(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        }))
    }
}

impl Clock {
    /// With another clock in place of the machine's, in microseconds since 1970.
    pub fn beside(wall: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self { began: Instant::now(), began_at: wall(), wall }
    }

    /// Never goes back, and never jumps.
    pub fn now(&self) -> u64 {
        let since = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.began_at.saturating_add(since)
    }

    /// What the machine's clock says.
    pub fn wall(&self) -> u64 {
        (self.wall)()
    }

    /// How far this one is ahead of the machine's, in microseconds.
    pub fn ahead(&self) -> i64 {
        let signed = |time| i64::try_from(time).unwrap_or(i64::MAX);
        signed(self.now()).saturating_sub(signed(self.wall()))
    }
}
