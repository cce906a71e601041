//! Whether the machine's clock was set back.
//!
//! When something is tried again stands in the store by the machine's clock, since it has to mean
//! something after a restart. A clock that was ahead and is set right would make all of it wait
//! until real time has caught up. So a step back is noticed, while the program runs and at its
//! start, and what is stored comes as much earlier.

use std::time::{Duration, Instant};

use facteur_spool::{Spool, SpoolError, Timestamp};

/// Less is no harm to what waits for minutes.
const STEP: Duration = Duration::from_secs(10);

/// Compares the machine's clock with one that nobody sets.
pub struct Clock {
    wall: Timestamp,
    at: Instant,
}

impl Clock {
    /// Both clocks say this now.
    pub fn new(wall: Timestamp, at: Instant) -> Self {
        Self { wall, at }
    }

    /// By how much the machine's was set back since this was last asked.
    pub fn set_back(&mut self, wall: Timestamp, at: Instant) -> Option<Duration> {
        let passed = at.saturating_duration_since(self.at);
        let back = (Duration::from_millis(self.wall.0) + passed)
            .saturating_sub(Duration::from_millis(wall.0));
        *self = Self { wall, at };
        (back >= STEP).then_some(back)
    }
}

/// Mends what a clock did that was ahead when the last process wrote.
///
/// # Errors
/// The store can't be written.
pub async fn mend_at_start(spool: &Spool) -> Result<(), SpoolError> {
    if spool.ahead() >= STEP { mend(spool, spool.ahead()).await } else { Ok(()) }
}

/// Mends what a clock did that was ahead by so much.
///
/// # Errors
/// The store can't be written.
pub async fn mend(spool: &Spool, ahead: Duration) -> Result<(), SpoolError> {
    let messages = spool.clock_set_back(ahead).await?;
    tracing::warn!(
        seconds = ahead.as_secs(),
        messages,
        "the clock was ahead and has been set back: what waits is tried as much earlier"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_step_back_is_one() {
        let (start, hour) = (Instant::now(), Duration::from_hours(1));
        let mut clock = Clock::new(Timestamp(10_000_000), start);
        // Even, ahead, and back by less than anybody notices.
        assert_eq!(clock.set_back(Timestamp(13_600_000), start + hour), None);
        assert_eq!(clock.set_back(Timestamp(99_000_000), start + hour), None);
        assert_eq!(clock.set_back(Timestamp(98_999_000), start + hour), None);
        // Set right within an hour, of which it shows nothing.
        let back = clock.set_back(Timestamp(17_200_000), start + 2 * hour);
        assert_eq!(back, Some(Duration::from_millis(98_999_000 + 3_600_000 - 17_200_000)));
        assert_eq!(clock.set_back(Timestamp(17_200_000), start + 2 * hour), None);
        // Before 1970 it is 1970.
        assert!(clock.set_back(Timestamp(0), start + 2 * hour).is_some());
    }
}
