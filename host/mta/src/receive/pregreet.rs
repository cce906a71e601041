//! Clients that speak before they are greeted: programs that send spam and don't listen
//! (postscreen's pregreet test; RFC 5321 section 3.1 says who speaks first).
//!
//! Who waits in silence has passed, and isn't made to wait again for a day. Who speaks is refused,
//! and nothing is remembered of it. What is remembered is bounded, and forgotten by a restart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use facteur_smtp::{Reply, status};
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::config::one_client;

/// How long it is remembered who has passed (`postscreen_greet_ttl`).
const REMEMBERED: Duration = Duration::from_hours(24);
/// Clients that are remembered, some MiB. Where there are more, all must pass anew.
const CLIENTS: usize = 100_000;
/// How long clients wait where nearly all places are taken (`postscreen_greet_wait`).
pub(super) const IN_STRESS: Duration = Duration::from_secs(2);

/// What a client did while it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// Nothing.
    Silent,
    /// It spoke.
    Spoke,
    /// It has gone.
    Gone,
}

/// Who has passed. Each has the time at which that is forgotten.
#[derive(Default)]
pub struct Pregreet(Mutex<HashMap<IpAddr, Instant>>);

impl Pregreet {
    /// Whether this client needn't wait.
    pub(super) fn has_passed(&self, client: IpAddr) -> bool {
        let until = self.0.lock().get(&one_client(client)).copied();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// This client waited.
    pub(super) fn passed(&self, client: IpAddr) {
        let mut passed = self.0.lock();
        let now = Instant::now();
        if passed.len() >= CLIENTS {
            passed.retain(|_, until| now < *until);
            if passed.len() >= CLIENTS {
                passed.clear();
            }
        }
        passed.insert(one_client(client), now + REMEMBERED);
    }
}

/// Waits so long, or until the client does something. What it says stays unread.
pub(super) async fn wait(client: &TcpStream, time: Duration) -> Waited {
    match tokio::time::timeout(time, client.peek(&mut [0])).await {
        Err(_) => Waited::Silent,
        Ok(Ok(1..)) => Waited::Spoke,
        Ok(Ok(0) | Err(_)) => Waited::Gone,
    }
}

/// What who speaks first hears (RFC 7504).
pub(super) fn refusal(hostname: &str) -> Reply {
    let text = format!("{hostname} Error: you spoke before the greeting");
    Reply::new(521, status::INVALID_COMMAND, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_passed_is_remembered_and_any_number_takes_a_bounded_room() {
        let pregreet = Pregreet::default();
        let client = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(!pregreet.has_passed(client("2001:db8::1")));
        pregreet.passed(client("2001:db8::1"));
        assert!(pregreet.has_passed(client("2001:db8::2")), "the same network");
        for number in 0..=u32::try_from(CLIENTS).unwrap() {
            pregreet.passed(IpAddr::V4(number.into()));
        }
        assert!(pregreet.0.lock().len() <= CLIENTS);
    }
}
