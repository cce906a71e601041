//! What a door does when the system gives it no connection.
//!
//! It happens when no file descriptors are left, in the process or on the machine. The one who
//! knocks still waits then, so that asking again at once would only burn the processor; and a line
//! for each failure would fill the log.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between two tries: a client hardly notices, and twenty tries a second cost nothing.
const AGAIN: Duration = Duration::from_millis(50);
/// Between two lines in the log.
const TOLD_AGAIN: Duration = Duration::from_secs(10);

/// The troubles of one door.
pub struct Accepting {
    door: String,
    told: Option<Instant>,
    /// Since the last line.
    failures: u64,
}

impl Accepting {
    /// A door without trouble, by the name that the log has for it.
    pub fn new(door: impl Into<String>) -> Self {
        Self { door: door.into(), told: None, failures: 0 }
    }

    /// No connection could be taken: tells it once in a while, and waits a little.
    pub async fn failed(&mut self, error: &io::Error) {
        self.failures += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TOLD_AGAIN) {
            let failures = std::mem::take(&mut self.failures);
            tracing::error!(door = self.door, %error, failures, "no connection can be taken");
            self.told = Some(Instant::now());
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_door_without_descriptors_neither_spins_nor_floods_the_log() {
        let mut accepting = Accepting::new("test");
        let (start, mut told) = (Instant::now(), 0);
        for _ in 0..400 {
            accepting.failed(&io::Error::other("too many open files")).await;
            told += u64::from(accepting.failures == 0);
        }
        assert!(start.elapsed() >= AGAIN * 400);
        assert_eq!(told, 2, "in twenty seconds");
    }
}
