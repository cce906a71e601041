//! How long a session waits for its client: a whole command has a deadline, and content a least
//! rate, so that a client that sends a byte now and then doesn't keep its place for ever.

use std::time::Duration;

use tokio::time::Instant;

/// Content comes at least at this rate, in octets a second (`smtpd_min_data_rate`).
const RATE: u32 = 500;
/// What a client has where nearly all places are taken (Postfix's `smtpd_timeout` under stress).
const IN_STRESS: Duration = Duration::from_secs(10);

/// How long a client may take; in stress it is less.
pub fn limit(limit: Duration, stress: bool) -> Duration {
    if stress { limit.min(IN_STRESS) } else { limit }
}

/// When a session gives its client up.
pub struct Patience {
    limit: Duration,
    deadline: Instant,
    /// Content since its client was last found to be at work.
    content: u32,
    progress: bool,
}

impl Patience {
    /// The client has just been greeted, or has at least this long to say something.
    pub fn new(limit: Duration) -> Self {
        Self { limit, deadline: Instant::now() + limit, content: 0, progress: true }
    }

    /// A whole command came, or the client is to answer: all the time begins anew.
    pub fn begin_anew(&mut self) {
        self.deadline = Instant::now() + self.limit;
        self.progress = true;
    }

    /// So much content came: the time that it takes at the least rate is added, up to all of it.
    pub fn content(&mut self, octets: usize) {
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let added = Duration::from_secs(octets.into()) / RATE;
        self.deadline = (self.deadline + added).min(Instant::now() + self.limit);
        self.content = self.content.saturating_add(octets);
        if self.content >= RATE {
            self.content = 0;
            self.progress = true;
        }
    }

    /// Whether its client got on with anything since this was asked last: said a whole command, or
    /// content for a second. Whoever sends an octet now and then only idles.
    pub fn progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// When it is over. In stress it is over sooner.
    pub fn deadline(&self, stress: bool) -> Instant {
        if stress { self.deadline.min(Instant::now() + IN_STRESS) } else { self.deadline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn content_that_comes_at_the_least_rate_is_waited_for() {
        let mut patience = Patience::new(LIMIT);
        for _ in 0..1_000 {
            pass(1).await;
            patience.content(500);
            assert!(patience.deadline(false) > Instant::now());
        }
        // At half of it, the limit is used up after twice the limit.
        let began = Instant::now();
        patience.begin_anew();
        while patience.deadline(false) > Instant::now() {
            pass(1).await;
            patience.content(250);
        }
        assert_eq!(began.elapsed(), 2 * LIMIT);
        // However fast it came before, a client that stops has no more than the limit.
        patience.content(usize::MAX);
        assert_eq!(patience.deadline(false), Instant::now() + LIMIT);
    }

    #[test]
    fn whoever_sends_an_octet_now_and_then_idles() {
        let mut patience = Patience::new(LIMIT);
        assert!(patience.progress() && !patience.progress());
        for _ in 1..RATE {
            patience.content(1);
            assert!(!patience.progress());
        }
        patience.content(1);
        assert!(patience.progress() && !patience.progress());
        patience.begin_anew();
        assert!(patience.progress());
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_less_time_in_stress() {
        let mut patience = Patience::new(LIMIT);
        assert_eq!(patience.deadline(true), Instant::now() + IN_STRESS);
        pass(295).await;
        assert_eq!(patience.deadline(true), Instant::now() + Duration::from_secs(5));
        patience.begin_anew();
        assert_eq!(patience.deadline(false), Instant::now() + LIMIT);
    }
}
