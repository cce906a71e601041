//! When a deferred recipient is tried again, and when it is given up: Postfix's rule.
//!
//! The wait is as long as the message has been in the queue, but never under the minimal and never
//! over the maximal backoff: so it doubles by itself.

use std::time::Duration;

use facteur_spool::Timestamp;

/// The operator's `[queue]` times.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The shortest wait.
    pub minimal: Duration,
    /// The longest wait.
    pub maximal: Duration,
    /// How long a message is tried.
    pub lifetime: Duration,
    /// How long a bounce (null sender) is tried.
    pub bounce_lifetime: Duration,
}

impl Backoff {
    /// When to try again. None: its time is over.
    pub fn next_try(
        &self,
        received_at: Timestamp,
        now: Timestamp,
        null_sender: bool,
    ) -> Option<Timestamp> {
        if now >= self.end(received_at, null_sender) {
            return None;
        }
        let age = Duration::from_millis(now.0.saturating_sub(received_at.0));
        let wait = age.clamp(self.minimal, self.maximal.max(self.minimal));
        Some(after(now, wait))
    }

    /// When its time is over.
    pub fn end(&self, received_at: Timestamp, null_sender: bool) -> Timestamp {
        after(received_at, if null_sender { self.bounce_lifetime } else { self.lifetime })
    }

    /// When a destination that couldn't be reached is tried again.
    pub fn revive(&self, now: Timestamp) -> Timestamp {
        after(now, self.minimal)
    }
}

/// So much later.
pub fn after(now: Timestamp, wait: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        minimal: Duration::from_secs(300),
        maximal: Duration::from_secs(4000),
        lifetime: Duration::from_secs(5 * 86_400),
        bounce_lifetime: Duration::from_secs(86_400),
    };

    fn wait_at(age_seconds: u64) -> Option<u64> {
        let now = Timestamp(age_seconds * 1000);
        BACKOFF.next_try(Timestamp(0), now, false).map(|next| (next.0 - now.0) / 1000)
    }

    #[test]
    fn the_wait_grows_with_the_age_between_its_bounds() {
        assert_eq!(wait_at(0), Some(300));
        assert_eq!(wait_at(300), Some(300));
        assert_eq!(wait_at(600), Some(600));
        assert_eq!(wait_at(100_000), Some(4000));
    }

    #[test]
    fn a_bounce_is_given_up_at_its_own_time() {
        assert_eq!(wait_at(5 * 86_400), None);
        let now = Timestamp(86_400_000);
        assert_eq!(BACKOFF.next_try(Timestamp(0), now, true), None);
        assert!(BACKOFF.next_try(Timestamp(0), now, false).is_some());
    }

    #[test]
    fn a_clock_that_went_back_does_no_harm() {
        assert_eq!(BACKOFF.next_try(Timestamp(10), Timestamp(5), false), Some(Timestamp(300_005)));
    }
}
