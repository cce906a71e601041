//! Who failed to log in, how often, and how long it waits for the answer.
//!
//! Counted for each client and for each login. The wait grows with either count, is bounded, and
//! comes after the judgement: whoever knows the password never waits, however many strangers tried
//! the login. So that a client gains nothing by many connections, few of its attempts are under way
//! at once. Bounded: above so many names only the clients count.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::one_client;

/// How long after its last failure somebody is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(15);
/// Clients, and logins, that are remembered: some MiB.
const REMEMBERED: usize = 20_000;
/// Attempts of one client that are under way at once: an office behind one address has some.
const AT_ONCE: u32 = 16;

/// How long those who failed wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// After the first failure; doubled for each more.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Delay {
    fn after(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

/// Everybody who failed of late. Cheap to clone.
#[derive(Clone, Default)]
pub struct Failures(Arc<Mutex<Remembered>>);

#[derive(Default)]
struct Remembered {
    clients: HashMap<IpAddr, Count>,
    logins: HashMap<String, Count>,
    under_way: HashMap<IpAddr, u32>,
}

struct Count {
    failures: u32,
    last: Instant,
}

/// An attempt that is under way, until it is dropped.
pub struct Attempt {
    failures: Failures,
    client: IpAddr,
}

impl Failures {
    /// A client tries. None: too many attempts of it are under way.
    pub fn begin(&self, client: IpAddr) -> Option<Attempt> {
        let client = one_client(client);
        let mut remembered = self.0.lock();
        let under_way = remembered.under_way.entry(client).or_insert(0);
        if *under_way >= AT_ONCE {
            return None;
        }
        *under_way += 1;
        Some(Attempt { failures: self.clone(), client })
    }
}

impl Attempt {
    /// It failed, with this login where one was said. How long to wait before that is said.
    pub fn failed(&self, login: Option<&str>, delay: Delay) -> Duration {
        let now = Instant::now();
        let mut remembered = self.failures.0.lock();
        let client = count(&mut remembered.clients, self.client, now);
        let login = login.map_or(0, |login| count(&mut remembered.logins, login.to_owned(), now));
        delay.after(client.max(login))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut remembered = self.failures.0.lock();
        if let Some(under_way) = remembered.under_way.get_mut(&self.client) {
            *under_way -= 1;
            if *under_way == 0 {
                remembered.under_way.remove(&self.client);
            }
        }
    }
}

/// One more failure; how many there were of late.
fn count<K: Hash + Eq>(all: &mut HashMap<K, Count>, who: K, now: Instant) -> u32 {
    if all.len() >= REMEMBERED && !all.contains_key(&who) {
        all.retain(|_, count| now.duration_since(count.last) < FORGOTTEN);
        if all.len() >= REMEMBERED {
            return 0;
        }
    }
    let count = all.entry(who).or_insert(Count { failures: 0, last: now });
    if now.duration_since(count.last) >= FORGOTTEN {
        count.failures = 0;
    }
    count.failures = count.failures.saturating_add(1);
    count.last = now;
    count.failures
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Delay = Delay { first: Duration::from_secs(1), longest: Duration::from_secs(10) };

    fn failed(failures: &Failures, client: &str, login: &str) -> u64 {
        let attempt = failures.begin(client.parse().unwrap()).unwrap();
        attempt.failed(Some(login), DELAY).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_with_the_failures_of_a_client_or_a_login_and_ends() {
        let failures = Failures::default();
        let waits: Vec<_> =
            (0..6).map(|n| failed(&failures, "192.0.2.1", &n.to_string())).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        let waits: Vec<_> =
            (1..4).map(|n| failed(&failures, &format!("2001:db8:{n}::1"), "louen")).collect();
        assert_eq!(waits, [1, 2, 4]);
        assert_eq!(failed(&failures, "2001:db8:1::2", "other"), 2, "the same network");
        tokio::time::advance(FORGOTTEN).await;
        assert_eq!(failed(&failures, "192.0.2.1", "louen"), 1);
    }

    #[test]
    fn few_attempts_of_a_client_are_under_way_at_once() {
        let failures = Failures::default();
        let begin = |client: &str| failures.begin(client.parse().unwrap());
        let mut all: Vec<_> = (0..AT_ONCE).map(|_| begin("192.0.2.1").unwrap()).collect();
        assert!(begin("::ffff:192.0.2.1").is_none());
        assert!(begin("192.0.2.2").is_some());
        all.pop();
        assert!(begin("192.0.2.1").is_some());
        all.clear();
        assert!(failures.0.lock().under_way.is_empty());
    }

    #[test]
    fn any_number_of_names_takes_a_bounded_room() {
        let failures = Failures::default();
        for number in 0..=u32::try_from(REMEMBERED).unwrap() {
            failed(&failures, &IpAddr::V4(number.into()).to_string(), &number.to_string());
        }
        let remembered = failures.0.lock();
        assert_eq!((remembered.clients.len(), remembered.logins.len()), (REMEMBERED, REMEMBERED));
    }
}
