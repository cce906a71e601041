//! The places of a listener: how many sessions there are, and who loses one where all are taken.
//!
//! A client that finds no place takes one of whoever holds most: the session that has waited longest
//! for its client to say something. So neither one client nor a thousand of them can keep others out
//! by doing nothing. A session that is at work, one that has only just begun to wait, and one of a
//! client that is exempt are never taken.
//!
//! It knows no socket: a session that loses its place is told, and ends itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::repeats::who;

/// A session that has waited less than this isn't idle: its client is on a slow line.
const IDLE: Duration = Duration::from_secs(2);
/// After it was seen that nobody idles, nobody looks again for so long: to look costs some µs for
/// each thousand sessions, and a flood of connections would make that the only work.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The share of places, in tenths, from which on sessions have less time (Postfix calls it stress,
/// and begins when all are taken).
const STRESS: usize = 9;
/// The session is at work.
const BUSY: u64 = u64::MAX;

/// The places of one listener. Cheap to clone.
#[derive(Clone)]
pub struct Seats(Arc<Shared>);

struct Shared {
    limit: usize,
    /// What times are counted from.
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: HashMap<u64, Arc<Taken>>,
    next: u64,
    /// Nobody idled at this time.
    in_vain: Option<Instant>,
}

struct Taken {
    /// None: exempt.
    client: Option<IpAddr>,
    /// Since when it waits for its client, in ms; or [`BUSY`].
    idle_since: AtomicU64,
    lost: Notify,
}

/// A session's place, until this is dropped.
pub struct Seat {
    seats: Seats,
    number: u64,
    taken: Arc<Taken>,
}

impl Seats {
    /// So many.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, began: Instant::now(), state: Mutex::default() }))
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// A place for a session of this client; none if all are taken by sessions that don't idle.
    pub fn take(&self, client: IpAddr, exempt: bool) -> Option<Seat> {
        let now = Instant::now();
        let mut state = self.0.state.lock();
        if state.taken.len() >= self.0.limit {
            if state.in_vain.is_some_and(|before| now - before < LOOK_AGAIN) {
                return None;
            }
            let Some(loser) = state.loser(self.0.milliseconds(now)) else {
                state.in_vain = Some(now);
                return None;
            };
            if let Some(taken) = state.taken.remove(&loser) {
                taken.lost.notify_one();
            }
        }
        let number = state.next;
        state.next += 1;
        let taken = Taken::by(client, exempt);
        state.taken.insert(number, taken.clone());
        Some(Seat { seats: self.clone(), number, taken })
    }

    /// Whether nearly all are taken.
    pub fn is_short(&self) -> bool {
        self.0.state.lock().taken.len() * 10 >= self.0.limit * STRESS
    }
}

impl Shared {
    fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from((at - self.began).as_millis()).unwrap_or(BUSY - 1)
    }
}

impl State {
    /// Of those who hold most, the session that has idled longest.
    fn loser(&self, now: u64) -> Option<u64> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for client in self.taken.values().filter_map(|taken| taken.client) {
            *held.entry(client).or_default() += 1;
        }
        let limit = u64::try_from(IDLE.as_millis()).unwrap_or(BUSY);
        self.taken
            .iter()
            .filter_map(|(&number, taken)| {
                let since = taken.idle_since.load(Ordering::Relaxed);
                let idles = now.saturating_sub(since) >= limit && since != BUSY;
                let holds = held.get(&taken.client?)?;
                idles.then_some((std::cmp::Reverse(*holds), since, number))
            })
            .min()
            .map(|(.., number)| number)
    }
}

impl Taken {
    /// By a session that is at work.
    fn by(client: IpAddr, exempt: bool) -> Arc<Self> {
        Arc::new(Self {
            client: (!exempt).then(|| who(client)),
            idle_since: AtomicU64::new(BUSY),
            lost: Notify::new(),
        })
    }
}

impl Seat {
    /// The session is another client's from now on. One that has lost its place has lost it.
    pub fn pass_to(&mut self, client: IpAddr, exempt: bool) {
        if let Some(taken) = self.seats.0.state.lock().taken.get_mut(&self.number) {
            *taken = Taken::by(client, exempt);
            self.taken = taken.clone();
        }
    }

    /// The session waits for its client from now on.
    pub fn waits(&self) {
        let now = self.seats.0.milliseconds(Instant::now());
        self.taken.idle_since.store(now, Ordering::Relaxed);
    }

    /// The session is at work from now on.
    pub fn works(&self) {
        self.taken.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// Waits until somebody else has got this place: the session is to end at once.
    pub async fn lost(&self) {
        self.taken.lost.notified().await;
    }

    /// As [`Seats::is_short`].
    pub fn is_short(&self) -> bool {
        self.seats.is_short()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.0.state.lock().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// Places whose clock began a minute ago.
    fn places(limit: usize) -> Seats {
        let began = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        Seats(Arc::new(Shared { limit, began, state: Mutex::default() }))
    }

    /// It waits, since so many ms after the clock began.
    fn waits_since(seat: &Seat, since: u64) {
        seat.taken.idle_since.store(since, Ordering::Relaxed);
    }

    fn loser(seats: &Seats, now: u64) -> Option<u64> {
        seats.0.state.lock().loser(now)
    }

    #[test]
    fn who_holds_most_loses_the_one_that_idles_longest() {
        let seats = Seats::new(4);
        let all: Vec<Seat> = [1, 1, 1, 2].map(|it| seats.take(client(it), false).unwrap()).into();
        // At work, all of them.
        assert_eq!(loser(&seats, 60_000), None);
        for (seat, since) in all.iter().zip([3_000, 2_000, 4_000, 0]) {
            waits_since(seat, since);
        }
        assert_eq!(loser(&seats, 60_000), Some(1), "the first client's second");
        // Waiting for less than two seconds isn't idling.
        assert_eq!(loser(&seats, 3_500), Some(3), "the second client's");
        assert_eq!(loser(&seats, 1_999), None);
    }

    #[tokio::test]
    async fn the_place_of_an_idle_session_is_taken_and_it_hears_so() {
        let seats = places(1);
        let idle = seats.take(client(1), false).unwrap();
        assert!(seats.take(client(2), false).is_none(), "it is at work");
        waits_since(&idle, 0);
        assert!(seats.take(client(2), false).is_none(), "nobody looks again so soon");
        seats.0.state.lock().in_vain = None;
        let seat = seats.take(client(2), false).unwrap();
        idle.lost().await;
        // The end of the one that lost doesn't take the other's place.
        drop(idle);
        assert!(seats.is_short());
        assert!(seats.take(client(3), false).is_none());
        drop(seat);
        assert!(seats.take(client(3), false).is_some());
    }

    #[tokio::test]
    async fn a_place_that_passes_to_another_client_is_that_one_s() {
        let seats = places(3);
        let _own = seats.take(client(1), false).unwrap();
        let mut passed = seats.take(client(2), true).unwrap();
        let _other = seats.take(client(3), false).unwrap();
        passed.pass_to(client(1), false);
        waits_since(&passed, 0);
        assert_eq!(loser(&seats, 60_000), Some(1), "the first client holds two now");
        let _fourth = seats.take(client(4), false).unwrap();
        // It is told, though it passes on once more.
        passed.pass_to(client(2), false);
        passed.lost().await;
    }

    #[test]
    fn who_is_exempt_keeps_its_place() {
        let seats = Seats::new(1);
        let trusted = seats.take(client(1), true).unwrap();
        waits_since(&trusted, 0);
        assert_eq!(loser(&seats, 60_000), None);
    }
}
