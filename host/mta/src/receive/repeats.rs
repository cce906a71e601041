//! Lines of the log that a stranger can make at will: so many about one client are told, the rest
//! is counted and summed up in one line once in a while.
//!
//! A client that is over its limits comes again some ten thousand times a second: a line for each
//! would fill the disk of whoever keeps the log, and hide the lines about others. What was decided
//! is told in full by `facteur explain`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::one_client;

/// How long lines are counted before they are summed up.
const WINDOW: Duration = Duration::from_secs(10);
/// Lines about one client that are told in that time: more than an honest one causes.
const TOLD: u64 = 100;
/// Clients that are told apart in that time, some hundred KiB; all others count as one.
const CLIENTS: usize = 10_000;

/// Counts lines by client. Cheap to clone. Needs a tokio runtime.
#[derive(Clone, Default)]
pub struct Repeats(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    clients: HashMap<IpAddr, u64>,
    /// Lines about all those that there was no room for.
    others: u64,
    /// Somebody will sum up.
    counting: bool,
}

impl Repeats {
    /// Whether the next line about this client is to be told.
    pub fn is_told(&self, client: IpAddr) -> bool {
        let mut seen = self.0.lock();
        if !std::mem::replace(&mut seen.counting, true) {
            let all = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(WINDOW).await;
                all.sum_up();
            });
        }
        seen.count(one_client(client)) <= TOLD
    }

    fn sum_up(&self) {
        let Seen { clients, others, .. } = std::mem::take(&mut *self.0.lock());
        for (client, count) in clients {
            if let Some(left_out) = left_out(count) {
                tracing::warn!(%client, left_out, "too many lines about this client");
            }
        }
        if let Some(left_out) = left_out(others) {
            tracing::warn!(left_out, "too many lines about too many clients");
        }
    }
}

impl Seen {
    /// One more.
    fn count(&mut self, client: IpAddr) -> u64 {
        let room = self.clients.len() < CLIENTS;
        let count = match self.clients.entry(client) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(0),
            Entry::Vacant(_) => &mut self.others,
        };
        *count += 1;
        *count
    }
}

fn left_out(count: u64) -> Option<u64> {
    count.checked_sub(TOLD).filter(|left_out| *left_out > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_about_one_client_are_counted_once_they_are_many() {
        let repeats = Repeats::default();
        let told = |client: &str| repeats.is_told(client.parse().unwrap());
        assert_eq!((0..1000).filter(|_| told("192.0.2.1")).count() as u64, TOLD);
        assert!(told("192.0.2.2"), "another client");
        assert_eq!(repeats.0.lock().clients[&one_client("192.0.2.1".parse().unwrap())], 1000);
        let many = |number: usize| told(&format!("2001:db8::{number:x}"));
        assert_eq!((0..1000).filter(|number| many(*number)).count() as u64, TOLD, "one network");
        // When its time is over they are told again, and nothing is left of it.
        tokio::time::sleep(WINDOW * 2).await;
        assert!(repeats.0.lock().clients.is_empty());
        assert!(told("192.0.2.1"));
    }

    #[tokio::test]
    async fn any_number_of_clients_takes_a_bounded_room() {
        let repeats = Repeats::default();
        let lines = (0..20_000_u32).filter(|number| repeats.is_told(IpAddr::V4((*number).into())));
        assert_eq!(lines.count() as u64, CLIENTS as u64 + TOLD);
        assert_eq!(repeats.0.lock().clients.len(), CLIENTS);
    }
}
