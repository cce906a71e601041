//! Decides what is loaded and what is tried, and does neither: events in, commands out, no I/O and
//! no clock.
//!
//! The active queue is a window on the store. The store's recipients are known here by their domain
//! alone: when the first of each is due. What is loaded counts against its destination; a
//! destination that has its share in the window gets no more, and the domains that lead to it are
//! parked until it has room, so that one slow destination never takes the window from the others. A
//! destination with little in the window may always have a little more. So memory is bounded by the
//! window and by the number of domains and destinations, not by messages. Deliveries by SMTP are
//! bounded as a whole by [`Places`]; destinations that wait for one are looked at in turn.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use facteur_smtp::Reply;
use facteur_spool::{QueueId, RecipientId, Timestamp};

use super::agenda::Agenda;
use super::batch::{Batch, Destination};
use super::destination::Load;
use super::places::Places;
use super::untold::Untold;

/// What a destination may always have in the window, however full it is.
const SHARE_AT_LEAST: usize = 20;
/// The largest part of the window that one destination gets: a fourth.
const SHARE_AT_MOST: usize = 4;
/// Batches, or destinations, that are looked at for one place that became free. More are looked at
/// for the next one.
const LOOKS: usize = 100;

/// `[queue]`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Recipients in memory.
    pub window: usize,
    /// Attempts at one destination, to begin with.
    pub initial_concurrency: usize,
    /// Attempts at one destination.
    pub concurrency: usize,
    /// Attempts by SMTP, in all.
    pub deliveries: usize,
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Command {
    /// Try this.
    Start(Batch),
    /// Defer this with this reply, untried: its destination is dead.
    Defer(Batch, Reply),
    /// Tell the senders of this message what became of it, and give that to [`Scheduler::told`].
    Tell(QueueId),
    /// Read what is due for this domain, at most so many, and give it to [`Scheduler::loaded`].
    Load(Arc<str>, usize),
}

/// What came of an attempt.
#[derive(Debug)]
pub struct Finished {
    /// Where.
    pub destination: Destination,
    /// Who was tried.
    pub recipients: Vec<(RecipientId, Arc<str>)>,
    /// When those that were deferred are tried again.
    pub deferred: Vec<(Arc<str>, Timestamp)>,
    /// Whether the destination could be reached, and if not, why and until when it may count as
    /// dead.
    pub unreached: Option<(Reply, Timestamp)>,
    /// Whether a sender is still to be told of some of them.
    pub ended: bool,
    /// Whether it was tried at all: a deferral of what waited for a dead destination says nothing
    /// about it.
    pub tried: bool,
}

/// The state of the queue in memory.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    destinations: HashMap<Destination, Load>,
    agenda: Agenda,
    window: HashSet<RecipientId>,
    /// Whom to tell, and when.
    pub untold: Untold,
    places: Places,
    /// Destinations that could start something but for a place.
    waiting: VecDeque<Destination>,
}

impl Scheduler {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            destinations: HashMap::new(),
            agenda: Agenda::default(),
            window: HashSet::new(),
            untold: Untold::default(),
            places: Places::new(limits.deliveries),
            waiting: VecDeque::new(),
        }
    }

    /// Something of this domain is due then.
    pub fn expect(&mut self, domain: &Arc<str>, when: Timestamp) {
        self.agenda.expect(domain, when);
    }

    /// When [`Scheduler::tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Timestamp> {
        self.agenda.next().into_iter().chain(self.untold.next()).min()
    }

    /// Looks for domains that are due, and for senders to be told.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = self.tell(now);
        let loads = self.agenda.take(now);
        commands.extend(loads.into_iter().map(|(domain, limit)| Command::Load(domain, limit)));
        commands
    }

    fn tell(&mut self, now: Timestamp) -> Vec<Command> {
        self.untold.take(now).into_iter().map(Command::Tell).collect()
    }

    /// The senders of a message were told, or are to be told then.
    pub fn told(
        &mut self,
        message: QueueId,
        again: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Command> {
        self.untold.told(message, again);
        self.tell(now)
    }

    /// What a load brought; `next` is when the first of the rest is due.
    pub fn loaded(
        &mut self,
        domain: &Arc<str>,
        batches: Vec<Batch>,
        next: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Command> {
        self.agenda.loaded(domain);
        let commands = self.ready(batches, now);
        match next {
            Some(when) if when > now => self.agenda.expect(domain, when),
            Some(_) => self.agenda.more(domain, now),
            None => {}
        }
        self.agenda.forget(domain);
        commands
    }

    /// A load failed: it is tried again then.
    pub fn load_failed(&mut self, domain: &Arc<str>, again: Timestamp) {
        self.agenda.loaded(domain);
        self.agenda.expect(domain, again);
    }

    /// Routed recipients, from arrival or load. What is in the window already is left out.
    pub fn ready(&mut self, batches: Vec<Batch>, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut dead = Vec::new();
        let mut touched: Vec<Destination> = Vec::new();
        for mut batch in batches {
            batch.recipients.retain(|(id, _)| !self.window.contains(id));
            if batch.recipients.is_empty() {
                continue;
            }
            let room = self.limits.window.saturating_sub(self.window.len());
            let share = (self.limits.window / SHARE_AT_MOST).min(room).max(SHARE_AT_LEAST);
            let state = self.destinations.entry(batch.destination.clone()).or_default();
            if state.recipients >= share {
                state.parked.extend(batch.recipients.iter().map(|(_, domain)| domain.clone()));
                continue;
            }
            state.recipients += batch.recipients.len();
            for (id, domain) in &batch.recipients {
                self.window.insert(*id);
                self.untold.entered(id.message());
                self.agenda.entered(domain);
            }
            if let Some((_, reply)) = state.dead.as_ref().filter(|(until, _)| *until > now) {
                let reply = reply.clone();
                state.running += 1;
                dead.push((batch, reply));
                continue;
            }
            touched.push(batch.destination.clone());
            state.ready.push_back(batch);
        }
        for (mut batch, reply) in dead {
            batch.alone = self.untold.is_all(batch.message, batch.recipients.len());
            commands.push(Command::Defer(batch, reply));
        }
        for destination in touched {
            self.start(&destination, &mut commands);
        }
        commands
    }

    fn start(&mut self, destination: &Destination, commands: &mut Vec<Command>) {
        let Some(state) = self.destinations.get_mut(destination) else { return };
        let initial = if *destination == Destination::Internal {
            usize::MAX
        } else {
            self.limits.initial_concurrency
        };
        let counts = matches!(destination, Destination::Smtp(_));
        while state.may_start(initial) {
            let may = |batch: &Batch| !counts || self.places.are_there(batch.message);
            let Some(next) = state.ready.iter().take(LOOKS).position(may) else {
                if !std::mem::replace(&mut state.waiting, true) {
                    self.waiting.push_back(destination.clone());
                }
                break;
            };
            let Some(mut batch) = state.ready.remove(next) else { break };
            if counts {
                self.places.take(&batch);
            }
            batch.alone = self.untold.is_all(batch.message, batch.recipients.len());
            state.running += 1;
            commands.push(Command::Start(batch));
        }
    }

    /// A place may be free: those that wait for one are looked at, each once at most.
    fn fill(&mut self, commands: &mut Vec<Command>) {
        for _ in 0..self.waiting.len().min(LOOKS) {
            if self.places.is_full() {
                return;
            }
            let Some(destination) = self.waiting.pop_front() else { return };
            if let Some(state) = self.destinations.get_mut(&destination) {
                state.waiting = false;
            }
            self.start(&destination, commands);
        }
    }

    /// An attempt has ended and its outcome is in the store.
    pub fn finished(&mut self, finished: Finished, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        let Finished { destination, recipients, deferred, unreached, ended, tried } = finished;
        if let Some((id, _)) = recipients.first().filter(|_| ended) {
            self.untold.ended(id.message(), now);
        }
        for (domain, when) in &deferred {
            self.agenda.expect(domain, *when);
        }
        if let Some((first, _)) = recipients.first() {
            self.places.give_back(*first);
        }
        for (id, domain) in &recipients {
            self.window.remove(id);
            self.untold.left(id.message());
            self.agenda.left(domain);
            self.agenda.look_for_more(domain, now);
        }
        for (_, domain) in &recipients {
            self.agenda.forget(domain);
        }
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.running = state.running.saturating_sub(1);
            state.recipients = state.recipients.saturating_sub(recipients.len());
            let (initial, limit) = (self.limits.initial_concurrency, self.limits.concurrency);
            match unreached {
                _ if !tried || destination == Destination::Internal => {}
                None => state.succeeded(initial, limit),
                Some((reply, until)) => {
                    if state.failed(initial, until, reply.clone()) {
                        for batch in std::mem::take(&mut state.ready) {
                            state.running += 1;
                            commands.push(Command::Defer(batch, reply.clone()));
                        }
                    }
                }
            }
            if state.recipients < self.limits.window / SHARE_AT_MOST / 2 {
                for domain in std::mem::take(&mut state.parked) {
                    self.agenda.expect(&domain, now);
                }
            }
        }
        self.start(&destination, &mut commands);
        self.fill(&mut commands);
        if self.destinations.get(&destination).is_some_and(|state| state.is_idle(now)) {
            self.destinations.remove(&destination);
        }
        commands.extend(self.tell(now));
        commands
    }

    /// An operator wants everything tried now: dead destinations get another chance.
    pub fn revive(&mut self) {
        for state in self.destinations.values_mut() {
            state.dead = None;
        }
    }

    /// Takes what waits of a message (of all, if none is named) out of the window, untried: it was
    /// held or deleted.
    pub fn withdraw(&mut self, message: Option<QueueId>) {
        for state in self.destinations.values_mut() {
            let meant = |batch: &Batch| message.is_none_or(|id| batch.message == id);
            let (out, stay): (Vec<_>, Vec<_>) =
                std::mem::take(&mut state.ready).into_iter().partition(meant);
            state.ready = stay.into();
            for batch in out {
                state.recipients = state.recipients.saturating_sub(batch.recipients.len());
                for (id, domain) in &batch.recipients {
                    self.window.remove(id);
                    self.untold.left(id.message());
                    self.agenda.left(domain);
                }
            }
        }
    }

    /// Attempts under way, and messages whose senders are being told.
    pub fn running(&self) -> usize {
        self.destinations.values().map(|state| state.running).sum::<usize>() + self.untold.telling()
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
