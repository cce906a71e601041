//! What waits for the committer: any thread puts in, the committer alone takes out.
//!
//! Who puts in never waits. The committer is woken once: when there are as many as it hoped for, or
//! its patience ends, or, where nobody came till then, for the first.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The requests, in the order they came.
pub(crate) struct Inbox<T> {
    state: Mutex<Contents<T>>,
    enough: Condvar,
}

struct Contents<T> {
    waiting: Vec<T>,
    /// How many the committer waits for.
    wanted: usize,
    closed: bool,
}

impl<T> Inbox<T> {
    /// Empty, and open.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(Contents { waiting: Vec::new(), wanted: 1, closed: false }),
            enough: Condvar::new(),
        }
    }

    /// Puts one in. False: nobody takes any more.
    #[must_use]
    pub(crate) fn put(&self, request: T) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.waiting.push(request);
        // Once: until it has taken them there is nothing more to tell it.
        if state.waiting.len() == state.wanted {
            self.enough.notify_one();
        }
        true
    }

    /// Takes at most `limit`. Waits until there are as many as `hoped` for, or until `patience`
    /// ends and there is one. None are left and none will come: nothing is added.
    pub(crate) fn take(&self, into: &mut Vec<T>, limit: usize, hoped: usize, patience: Instant) {
        let mut state = self.state.lock();
        state.wanted = hoped.clamp(1, limit);
        while state.waiting.len() < state.wanted && !state.closed {
            if self.enough.wait_until(&mut state, patience).timed_out() {
                break;
            }
        }
        state.wanted = 1;
        while state.waiting.is_empty() && !state.closed {
            self.enough.wait(&mut state);
        }
        if state.waiting.len() <= limit && into.is_empty() {
            std::mem::swap(into, &mut state.waiting);
        } else {
            let end = limit.min(state.waiting.len());
            into.extend(state.waiting.drain(..end));
        }
    }

    /// Takes no more in. What waits can still be taken.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.enough.notify_one();
    }

    /// Takes no more in, and gives what waits.
    pub(crate) fn empty(&self) -> Vec<T> {
        self.close();
        std::mem::take(&mut self.state.lock().waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn take(inbox: &Inbox<u32>, limit: usize, hoped: usize, patience: Duration) -> Vec<u32> {
        let mut taken = Vec::new();
        inbox.take(&mut taken, limit, hoped, Instant::now() + patience);
        taken
    }

    #[test]
    fn the_first_alone_is_waited_for() {
        let inbox = Inbox::new();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| take(&inbox, 10, 0, LONG));
            assert!(inbox.put(1));
            assert_eq!(taker.join().expect("the taker"), [1]);
        });
    }

    #[test]
    fn as_many_as_hoped_are_waited_for_and_no_more() {
        let inbox = Inbox::new();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| take(&inbox, 10, 3, LONG));
            (1..=3).for_each(|number| assert!(inbox.put(number)));
            assert_eq!(taker.join().expect("the taker"), [1, 2, 3]);
        });
    }

    #[test]
    fn patience_ends() {
        let inbox = Inbox::new();
        assert!(inbox.put(1));
        assert_eq!(take(&inbox, 10, 3, Duration::from_millis(1)), [1]);
    }

    #[test]
    fn with_none_when_patience_ends_the_first_is_waited_for() {
        let inbox = Inbox::new();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| take(&inbox, 10, 3, Duration::ZERO));
            assert!(inbox.put(1));
            assert_eq!(taker.join().expect("the taker"), [1]);
        });
    }

    #[test]
    fn what_is_too_much_stays_in_order() {
        let inbox = Inbox::new();
        (1..=5).for_each(|number| assert!(inbox.put(number)));
        assert_eq!(take(&inbox, 3, 9, LONG), [1, 2, 3]);
        assert_eq!(take(&inbox, 3, 0, LONG), [4, 5]);
    }

    #[test]
    fn a_closed_one_gives_what_it_has_and_takes_no_more() {
        let inbox = Inbox::new();
        assert!(inbox.put(1));
        inbox.close();
        assert!(!inbox.put(2));
        assert_eq!(take(&inbox, 10, 3, LONG), [1]);
        assert!(take(&inbox, 10, 3, LONG).is_empty());
    }
}
