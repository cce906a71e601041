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
pub fn within<T>(time: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    found_within(time, look).unwrap_or_else(|| panic!("waited {time:?} for {what}"))
}

/// Looks until there is something to return, for as long as given.
pub(crate) fn found_within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + time;
    loop {
        // Asked before the look, so that there is always one after the deadline.
        let late = Instant::now() >= deadline;
        let found = look();
        if found.is_some() || late {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
}
