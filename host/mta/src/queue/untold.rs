//! When senders are told: which messages have recipients that ended and whose sender isn't told
//! yet.
//!
//! A sender is told once no attempt at the message is under way, so that one notice tells of all
//! that end together; but no later than [`PATIENCE`] after the first of them, however long the
//! others take. So a message with many recipients makes few notices, whatever becomes of it.
//!
//! Pure: no store and no clock. What is here is in the store as well, and found there by a start.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use facteur_spool::{QueueId, Timestamp};

use super::backoff::after;

/// How long a notice waits for the other attempts at its message. Most end within it; a sender
/// waits for days where something is only deferred, so that a minute is nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The messages with recipients in the window, or with something to tell.
#[derive(Debug, Default)]
pub struct Untold {
    messages: HashMap<QueueId, UntoldMessage>,
    agenda: BTreeSet<(Timestamp, QueueId)>,
    telling: usize,
}

#[derive(Debug, Default)]
struct UntoldMessage {
    /// Recipients in the window.
    active: usize,
    /// Something is to be told, at the latest then.
    due: Option<Timestamp>,
    /// It is being told.
    telling: bool,
}

impl Untold {
    /// A recipient of the message came into the window.
    pub fn entered(&mut self, message: QueueId) {
        self.messages.entry(message).or_default().active += 1;
    }

    /// One left it.
    pub fn left(&mut self, message: QueueId) {
        let Some(state) = self.messages.get_mut(&message) else { return };
        state.active = state.active.saturating_sub(1);
        if state.active > 0 {
            return;
        }
        if state.due.is_some() {
            self.expect(message, Timestamp(0));
        } else {
            self.forget(message);
        }
    }

    /// Something of the message is to be told.
    pub fn ended(&mut self, message: QueueId, now: Timestamp) {
        let when = match self.messages.get(&message) {
            Some(state) if state.active > 0 => after(now, PATIENCE),
            _ => Timestamp(0),
        };
        self.expect(message, when);
    }

    /// The same, with the time.
    pub fn expect(&mut self, message: QueueId, when: Timestamp) {
        let state = self.messages.entry(message).or_default();
        let when = state.due.map_or(when, |due| due.min(when));
        if let Some(due) = state.due.replace(when) {
            self.agenda.remove(&(due, message));
        }
        if !state.telling {
            self.agenda.insert((when, message));
        }
    }

    /// Whether these are all of the message that is known here.
    pub fn is_all(&self, message: QueueId, recipients: usize) -> bool {
        self.messages
            .get(&message)
            .is_none_or(|state| state.active <= recipients && state.due.is_none() && !state.telling)
    }

    /// When [`Untold::take`] has something next.
    pub fn next(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(when, _)| *when)
    }

    /// The messages to be told of now; each until [`Untold::told`].
    pub fn take(&mut self, now: Timestamp) -> Vec<QueueId> {
        let mut taken = Vec::new();
        while let Some((_, message)) = self.agenda.first().filter(|(when, _)| *when <= now).copied()
        {
            self.agenda.pop_first();
            let state = self.messages.entry(message).or_default();
            (state.due, state.telling) = (None, true);
            self.telling += 1;
            taken.push(message);
        }
        taken
    }

    /// It was told, or is to be tried again then.
    pub fn told(&mut self, message: QueueId, again: Option<Timestamp>) {
        self.telling = self.telling.saturating_sub(1);
        let Some(state) = self.messages.get_mut(&message) else { return };
        state.telling = false;
        // What ended meanwhile may not have been among it.
        match state.due.take().into_iter().chain(again).min() {
            Some(when) => self.expect(message, when),
            None => self.forget(message),
        }
    }

    /// Messages that are being told of.
    pub fn telling(&self) -> usize {
        self.telling
    }

    fn forget(&mut self, message: QueueId) {
        let is_idle =
            |state: &UntoldMessage| state.active == 0 && state.due.is_none() && !state.telling;
        if self.messages.get(&message).is_some_and(is_idle) {
            self.messages.remove(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn id() -> QueueId {
        QueueId::new(7).unwrap()
    }

    #[test]
    fn a_sender_is_told_when_the_last_attempt_has_ended() {
        let mut untold = Untold::default();
        for _ in 0..3 {
            untold.entered(id());
        }
        for _ in 0..2 {
            untold.left(id());
            untold.ended(id(), NOW);
            assert!(untold.take(NOW).is_empty());
        }
        // The last one is deferred.
        untold.left(id());
        assert_eq!(untold.take(NOW), [id()]);
        assert!(untold.take(NOW).is_empty() && untold.telling() == 1);
        untold.told(id(), None);
        assert!(untold.messages.is_empty() && untold.agenda.is_empty() && untold.telling() == 0);
    }

    #[test]
    fn or_when_it_has_waited_long_enough() {
        let mut untold = Untold::default();
        untold.entered(id());
        untold.entered(id());
        untold.left(id());
        untold.ended(id(), NOW);
        let end = after(NOW, PATIENCE);
        assert_eq!(untold.next(), Some(end));
        assert_eq!(untold.take(end), [id()]);
        // What ends while it is told is told after that.
        untold.left(id());
        untold.ended(id(), end);
        assert!(untold.take(end).is_empty());
        untold.told(id(), None);
        assert_eq!(untold.take(end), [id()]);
    }

    #[test]
    fn what_can_t_be_told_now_is_told_later() {
        let mut untold = Untold::default();
        untold.expect(id(), NOW);
        assert_eq!(untold.take(NOW), [id()]);
        untold.told(id(), Some(Timestamp(NOW.0 + 10)));
        assert!(untold.take(NOW).is_empty());
        assert_eq!(untold.take(Timestamp(NOW.0 + 10)), [id()]);
    }

    #[test]
    fn who_is_alone_is_told_at_once() {
        let mut untold = Untold::default();
        untold.entered(id());
        assert!(untold.is_all(id(), 1));
        untold.entered(id());
        assert!(!untold.is_all(id(), 1) && untold.is_all(id(), 2));
        untold.left(id());
        untold.ended(id(), NOW);
        assert!(!untold.is_all(id(), 1));
    }
}
