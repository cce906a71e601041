//! What a listener has to give to its sessions: places, and memory for what clients send; and who
//! loses a place where either is used up.
//!
//! A client that finds no place takes one of whoever holds most: the session that has waited
//! longest for its client to say something. Where memory is used up, a session that wants more
//! takes the place of one that waits like this and holds most; until it has gone, the other waits.
//! So neither one client nor a thousand of them can keep others out by doing nothing. A session
//! that is at work, one that has only just begun to wait, and one of a client that is exempt are
//! never taken.
//!
//! Invariant: what sessions hold together, as they count it, is never more than there is.
//!
//! It knows no socket: a session that loses its place is told, and ends itself. How much a session
//! holds is the session's to say.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use facteur_smtp::{Reply, status};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::config::{ListenLimits, one_client};

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
/// Octets that are counted as one: most messages are smaller, and need to be counted once.
const UNIT: usize = 16 * 1024;
/// How long a session waits for memory: longer than it takes until others are idle.
const MEMORY_WAIT: Duration = Duration::from_secs(10);

/// The places and the memory of one listener. Cheap to clone.
#[derive(Clone)]
pub struct Seats(Arc<Shared>);

struct Shared {
    limit: usize,
    /// Of memory, in [`UNIT`]s.
    units: usize,
    free: Arc<Semaphore>,
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
    /// Of memory, in [`UNIT`]s.
    held: AtomicUsize,
    lost: Notify,
}

/// A session's place, until this is dropped.
pub struct Seat {
    seats: Seats,
    number: u64,
    taken: Arc<Taken>,
    /// When it began to wait last, in ms.
    waited_since: u64,
    memory: Option<OwnedSemaphorePermit>,
}

/// There is no memory for what a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sessions of this listener hold all the memory that they may (limits.memory)")]
pub struct NoMemory;

impl From<NoMemory> for Reply {
    /// What the client hears.
    fn from(_: NoMemory) -> Self {
        Self::new(452, status::SYSTEM_FULL, "Error: insufficient system memory")
    }
}

impl Seats {
    /// As many as the limits say.
    pub fn new(limits: &ListenLimits) -> Self {
        Self::with(limits.connections, limits.memory, Instant::now())
    }

    fn with(limit: usize, memory: u64, began: Instant) -> Self {
        let units = usize::try_from(memory / UNIT as u64).unwrap_or(usize::MAX);
        let units = units.clamp(1, Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(units));
        Self(Arc::new(Shared { limit, units, free, began, state: Mutex::default() }))
    }

    /// How many places there are.
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
            if !state.one_loses(self.0.milliseconds(now), |_| 1) {
                state.in_vain = Some(now);
                return None;
            }
        }
        let number = state.next;
        state.next += 1;
        let taken = Taken::by(client, exempt, 0);
        state.taken.insert(number, taken.clone());
        let waited_since = self.0.milliseconds(now);
        Some(Seat { seats: self.clone(), number, taken, waited_since, memory: None })
    }

    /// Whether nearly all places are taken.
    pub fn is_short(&self) -> bool {
        self.0.state.lock().taken.len() * 10 >= self.0.limit * STRESS
    }
}

impl Shared {
    fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from((at - self.began).as_millis()).unwrap_or(BUSY - 1)
    }

    /// So many units. While there are too few, those who hold most lose their places.
    async fn units(&self, wanted: usize) -> Result<OwnedSemaphorePermit, NoMemory> {
        let count = u32::try_from(wanted).map_err(|_| NoMemory)?;
        if wanted > self.units {
            return Err(NoMemory);
        }
        if let Ok(units) = self.free.clone().try_acquire_many_owned(count) {
            return Ok(units);
        }
        let mut coming = std::pin::pin!(self.free.clone().acquire_many_owned(count));
        let over = tokio::time::Instant::now() + MEMORY_WAIT;
        while tokio::time::Instant::now() < over {
            self.state.lock().one_loses(self.milliseconds(Instant::now()), |taken| {
                taken.held.load(Ordering::Relaxed)
            });
            if let Ok(units) = tokio::time::timeout(LOOK_AGAIN, coming.as_mut()).await {
                // It is never closed.
                return units.map_err(|_| NoMemory);
            }
        }
        Err(NoMemory)
    }
}

impl State {
    /// Tells one session that its place is lost; false if nobody idles.
    fn one_loses(&mut self, now: u64, holds: impl Fn(&Taken) -> usize) -> bool {
        let loser = self.loser(now, holds).and_then(|number| self.taken.remove(&number));
        if let Some(taken) = &loser {
            taken.lost.notify_one();
        }
        loser.is_some()
    }

    /// Of those who hold most, the session that holds most, and of these the one that has idled
    /// longest.
    fn loser(&self, now: u64, holds: impl Fn(&Taken) -> usize) -> Option<u64> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for taken in self.taken.values() {
            if let Some(client) = taken.client {
                *held.entry(client).or_default() += holds(taken);
            }
        }
        let limit = u64::try_from(IDLE.as_millis()).unwrap_or(BUSY);
        self.taken
            .iter()
            .filter_map(|(&number, taken)| {
                let since = taken.idle_since.load(Ordering::Relaxed);
                let idles = now.saturating_sub(since) >= limit && since != BUSY;
                let own = holds(taken);
                let all = held.get(&taken.client?)?;
                (idles && own > 0).then_some((Reverse(*all), Reverse(own), since, number))
            })
            .min()
            .map(|(.., number)| number)
    }
}

impl Taken {
    /// By a session that is at work.
    fn by(client: IpAddr, exempt: bool, held: usize) -> Arc<Self> {
        Arc::new(Self {
            client: (!exempt).then(|| one_client(client)),
            idle_since: AtomicU64::new(BUSY),
            held: AtomicUsize::new(held),
            lost: Notify::new(),
        })
    }
}

impl Seat {
    /// The session is another client's from now on. One that has lost its place has lost it.
    pub fn pass_to(&mut self, client: IpAddr, exempt: bool) {
        if let Some(taken) = self.seats.0.state.lock().taken.get_mut(&self.number) {
            *taken = Taken::by(client, exempt, taken.held.load(Ordering::Relaxed));
            self.taken = taken.clone();
        }
    }

    /// The session waits for its client from now on.
    pub fn waits(&mut self) {
        self.waited_since = self.seats.0.milliseconds(Instant::now());
        self.waits_on();
    }

    /// The session waits for its client, which got on with nothing since it began to.
    pub fn waits_on(&self) {
        self.taken.idle_since.store(self.waited_since, Ordering::Relaxed);
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

    /// The session is to hold so many octets of what its client sent. Waits where there are too few
    /// for more; fewer are given back at once.
    ///
    /// # Errors
    /// None became free: the session holds what it held.
    pub async fn hold(&mut self, octets: usize) -> Result<(), NoMemory> {
        let wanted = octets.div_ceil(UNIT);
        let held = self.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if wanted > held {
            let more = self.seats.0.units(wanted - held).await?;
            match &mut self.memory {
                Some(memory) => memory.merge(more),
                None => self.memory = Some(more),
            }
        } else if wanted == 0 {
            self.give_back();
        } else if wanted < held {
            let less = self.memory.as_mut().and_then(|memory| memory.split(held - wanted));
            drop(less);
        }
        self.taken.held.store(wanted, Ordering::Relaxed);
        Ok(())
    }

    /// The session holds nothing any more.
    pub fn give_back(&mut self) {
        self.memory = None;
        self.taken.held.store(0, Ordering::Relaxed);
    }

    /// Whether less than half of the memory is free.
    pub fn memory_is_short(&self) -> bool {
        self.seats.0.free.available_permits() * 2 < self.seats.0.units
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

    /// Places whose clock began a minute ago, and so many units of memory.
    fn places(limit: usize, units: u64) -> Seats {
        let began = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        Seats::with(limit, units * UNIT as u64, began)
    }

    /// It waits, since so many ms after the clock began.
    fn waits_since(seat: &Seat, since: u64) {
        seat.taken.idle_since.store(since, Ordering::Relaxed);
    }

    fn loser(seats: &Seats, now: u64) -> Option<u64> {
        seats.0.state.lock().loser(now, |_| 1)
    }

    #[test]
    fn who_holds_most_loses_the_one_that_idles_longest() {
        let seats = places(4, 1);
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
        let seats = places(1, 1);
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
        let seats = places(3, 1);
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
        let seats = places(1, 1);
        let trusted = seats.take(client(1), true).unwrap();
        waits_since(&trusted, 0);
        assert_eq!(loser(&seats, 60_000), None);
    }

    #[tokio::test(start_paused = true)]
    async fn where_memory_is_used_up_who_idles_and_holds_most_loses_its_place() {
        let seats = places(10, 10);
        let mut all: Vec<Seat> = [1, 2, 3].map(|it| seats.take(client(it), false).unwrap()).into();
        for (seat, units) in all.iter_mut().zip([4, 5, 1]) {
            seat.hold(units * UNIT).await.unwrap();
        }
        let mut wants = all.pop().unwrap();
        // At work, all of them: the other waits, and keeps what it has.
        assert_eq!(wants.hold(2 * UNIT).await, Err(NoMemory));
        assert_eq!(seats.0.free.available_permits(), 0);
        assert!(wants.memory_is_short());
        for seat in &all {
            waits_since(seat, 0);
        }
        let most = all.pop().unwrap();
        let goes = async {
            most.lost().await;
            drop(most);
        };
        let (got, ()) = tokio::join!(wants.hold(2 * UNIT), goes);
        assert_eq!((got, seats.0.free.available_permits()), (Ok(()), 4));
        // More than there is will never be there.
        assert_eq!(wants.hold(11 * UNIT).await, Err(NoMemory));
        wants.hold(0).await.unwrap();
        assert_eq!(seats.0.free.available_permits(), 6);
    }
}
