//! Waiting for something to become true, with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for what should take a moment, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something to return, for [`PATIENCE`]; fails naming `what` after that.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Looks until there is something to return, for as long as given; fails naming `what` after that.
pub fn within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + time;
    loop {
        // Asked before the look, so that there is always one after the deadline.
        let late = Instant::now() >= deadline;
        if let Some(found) = look() {
            return found;
        }
        assert!(!late, "waited {time:?} for {what}");
        std::thread::sleep(PAUSE);
    }
}
