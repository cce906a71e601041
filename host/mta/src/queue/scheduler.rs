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

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use facteur_smtp::Reply;
use facteur_spool::{QueueId, RecipientId, Timestamp};

use super::batch::{Batch, Destination};
use super::destination::State;
use super::places::Places;
use super::untold::Untold;

/// How many due recipients of a domain are loaded at a time.
const LOAD: usize = 500;
/// What a destination may always have in the window, however full it is.
const SHARE_AT_LEAST: usize = 20;
/// The largest part of the window that one destination gets: a fourth.
const SHARE_AT_MOST: usize = 4;
/// Loads under way at once: each reads the store and asks plugins.
const LOADS: usize = 8;
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

/// A domain with something in the store.
#[derive(Debug, Default)]
struct Domain {
    /// When to look into the store; also its place in the agenda.
    due: Option<Timestamp>,
    loading: bool,
    /// Recipients in the window.
    active: usize,
    /// More is due than was loaded.
    more: bool,
}

/// The state of the queue in memory.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    destinations: HashMap<Destination, State>,
    domains: HashMap<Arc<str>, Domain>,
    agenda: BTreeSet<(Timestamp, Arc<str>)>,
    window: HashSet<RecipientId>,
    loads: usize,
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
            domains: HashMap::new(),
            agenda: BTreeSet::new(),
            window: HashSet::new(),
            loads: 0,
            untold: Untold::default(),
            places: Places::new(limits.deliveries),
            waiting: VecDeque::new(),
        }
    }

    /// Something of this domain is due then.
    pub fn expect(&mut self, domain: &Arc<str>, when: Timestamp) {
        let state = self.domains.entry(domain.clone()).or_default();
        if state.due.is_some_and(|due| due <= when) {
            return;
        }
        if let Some(due) = state.due.replace(when) {
            self.agenda.remove(&(due, domain.clone()));
        }
        self.agenda.insert((when, domain.clone()));
    }

    /// When [`Scheduler::tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Timestamp> {
        let load = self.agenda.first().filter(|_| self.loads < LOADS).map(|(when, _)| *when);
        load.into_iter().chain(self.untold.next()).min()
    }

    /// Looks for domains that are due, and for senders to be told.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = self.tell(now);
        while self.loads < LOADS {
            let Some((when, domain)) =
                self.agenda.first().filter(|(when, _)| *when <= now).cloned()
            else {
                break;
            };
            self.agenda.remove(&(when, domain.clone()));
            let state = self.domains.entry(domain.clone()).or_default();
            state.due = None;
            if state.loading || state.active >= LOAD / 2 {
                // Looked at again when what is in the window has gone down.
                state.more = true;
                continue;
            }
            state.loading = true;
            state.more = false;
            self.loads += 1;
            // Those in the window are still due in the store, and will be read again.
            commands.push(Command::Load(domain, LOAD + state.active));
        }
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
        self.loads = self.loads.saturating_sub(1);
        if let Some(state) = self.domains.get_mut(domain) {
            state.loading = false;
        }
        let commands = self.ready(batches, now);
        match next {
            Some(when) if when > now => self.expect(domain, when),
            Some(_) => self.more(domain, now),
            None => {}
        }
        self.forget_domain(domain);
        commands
    }

    /// A load failed: it is tried again then.
    pub fn load_failed(&mut self, domain: &Arc<str>, again: Timestamp) {
        self.loads = self.loads.saturating_sub(1);
        if let Some(state) = self.domains.get_mut(domain) {
            state.loading = false;
        }
        self.expect(domain, again);
    }

    /// More is due for this domain than was taken: now if there is room, else when there is.
    fn more(&mut self, domain: &Arc<str>, now: Timestamp) {
        let state = self.domains.entry(domain.clone()).or_default();
        if state.active >= LOAD / 2 {
            state.more = true;
        } else {
            self.expect(domain, now);
        }
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
                self.domains.entry(domain.clone()).or_default().active += 1;
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
            self.expect(domain, *when);
        }
        if let Some((first, _)) = recipients.first() {
            self.places.give_back(*first);
        }
        for (id, domain) in &recipients {
            self.window.remove(id);
            self.untold.left(id.message());
            let Some(state) = self.domains.get_mut(domain) else { continue };
            state.active = state.active.saturating_sub(1);
            if state.more && state.active < LOAD / 2 {
                state.more = false;
                self.expect(domain, now);
            }
        }
        for (_, domain) in &recipients {
            self.forget_domain(domain);
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
                    self.expect(&domain, now);
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

    /// Nothing is known of a domain without anything in window, agenda or load.
    fn forget_domain(&mut self, domain: &Arc<str>) {
        let idle = |state: &Domain| {
            state.due.is_none() && !state.loading && state.active == 0 && !state.more
        };
        if self.domains.get(domain).is_some_and(idle) {
            self.domains.remove(domain);
        }
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
                    if let Some(state) = self.domains.get_mut(domain) {
                        state.active = state.active.saturating_sub(1);
                    }
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
mod tests {
    use super::*;
    use facteur_policy::{Route, SmtpRoute};
    use facteur_smtp::status;

    const LIMITS: Limits =
        Limits { window: 400, initial_concurrency: 5, concurrency: 20, deliveries: 1000 };
    const NOW: Timestamp = Timestamp(1_000_000);

    fn hop(host: &str) -> SmtpRoute {
        SmtpRoute { host: host.into(), port: 25, mx: true, source: None, otherwise: None }
    }

    /// One recipient of one message; `number` makes both.
    fn batch(number: u64, domain: &str) -> Batch {
        batch_for(number, domain, domain)
    }

    fn batch_for(number: u64, domain: &str, host: &str) -> Batch {
        let message = QueueId::new(number).unwrap();
        Batch {
            message,
            recipients: vec![(message.recipient(0), domain.into())],
            route: Route::Smtp(hop(host)),
            destination: Destination::Smtp(hop(host)),
            alone: false,
            kept: None,
        }
    }

    fn batches(numbers: std::ops::Range<u64>, domain: &str) -> Vec<Batch> {
        numbers.map(|number| batch(number, domain)).collect()
    }

    fn started(commands: &[Command]) -> Vec<QueueId> {
        let start = |command: &Command| match command {
            Command::Start(batch) => Some(batch.message),
            _ => None,
        };
        commands.iter().filter_map(start).collect()
    }

    fn finished(number: u64, domain: &str, unreached: bool) -> Finished {
        let batch = batch(number, domain);
        let reply = Reply::new(451, status::NO_ANSWER, "connection refused");
        Finished {
            destination: batch.destination,
            recipients: batch.recipients,
            deferred: if unreached {
                vec![(domain.into(), Timestamp(NOW.0 + 300_000))]
            } else {
                Vec::new()
            },
            unreached: unreached.then_some((reply, Timestamp(NOW.0 + 300_000))),
            ended: false,
            tried: true,
        }
    }

    #[test]
    fn concurrency_starts_small_and_grows_with_success() {
        let mut scheduler = Scheduler::new(LIMITS);
        let first = scheduler.ready(batches(0..50, "a.test"), NOW);
        assert_eq!(started(&first).len(), 5);
        assert_eq!(
            started(&scheduler.finished(finished(0, "a.test", false), NOW)).len(),
            2,
            "one for it, one more"
        );
        for number in 1..40 {
            scheduler.finished(finished(number, "a.test", false), NOW);
        }
        assert!(scheduler.running() <= LIMITS.concurrency);
    }

    #[test]
    fn a_dead_destination_defers_what_waits_for_it_untried() {
        let mut scheduler = Scheduler::new(LIMITS);
        scheduler.ready(batches(0..20, "dead.test"), NOW);
        let mut commands = Vec::new();
        for number in 0..5 {
            commands = scheduler.finished(finished(number, "dead.test", true), NOW);
        }
        let deferred =
            commands.iter().filter(|command| matches!(command, Command::Defer(..))).count();
        assert_eq!(deferred, 15, "{commands:?}");
        for command in commands {
            let Command::Defer(batch, _) = command else { unreachable!("counted above") };
            let untried =
                Finished { tried: false, ..finished(batch.message.number(), "dead.test", true) };
            scheduler.finished(untried, NOW);
        }
        // What comes later is deferred too, until the time is over.
        let later = scheduler.ready(batches(100..101, "dead.test"), NOW);
        assert!(matches!(later[..], [Command::Defer(..)]), "{later:?}");
        scheduler.finished(Finished { tried: false, ..finished(100, "dead.test", true) }, NOW);
        let after = scheduler.ready(batches(101..102, "dead.test"), Timestamp(NOW.0 + 300_001));
        assert_eq!(started(&after).len(), 1);
    }

    #[test]
    fn a_slow_destination_takes_its_share_and_no_more() {
        let mut scheduler = Scheduler::new(LIMITS);
        scheduler.ready(batches(0..1000, "slow.test"), NOW);
        assert!(
            scheduler.window.len() <= LIMITS.window / SHARE_AT_MOST + 1,
            "{}",
            scheduler.window.len()
        );
        let other = scheduler.ready(batches(2000..2001, "fast.test"), NOW);
        assert_eq!(started(&other).len(), 1);
    }

    #[test]
    fn a_full_window_still_takes_a_little_of_everything() {
        let mut scheduler = Scheduler::new(LIMITS);
        for slow in 0..10 {
            scheduler
                .ready(batches(slow * 1000..slow * 1000 + 500, &format!("slow{slow}.test")), NOW);
        }
        let other = scheduler.ready(batches(50_000..50_001, "fast.test"), NOW);
        assert_eq!(started(&other).len(), 1);
    }

    #[test]
    fn what_was_turned_away_is_looked_for_when_there_is_room() {
        let mut scheduler = Scheduler::new(LIMITS);
        scheduler.ready(batches(0..200, "a.test"), NOW);
        assert_eq!(scheduler.next_tick(), None, "parked, not polled");
        for number in 0..90 {
            scheduler.finished(finished(number, "a.test", false), NOW);
        }
        assert_eq!(scheduler.next_tick(), Some(NOW));
        let commands = scheduler.tick(NOW);
        assert!(
            matches!(&commands[..], [Command::Load(domain, _)] if &**domain == "a.test"),
            "{commands:?}"
        );
    }

    /// One message to many hosts, a batch for each.
    fn to_many(message: u64, hosts: std::ops::Range<usize>) -> Vec<Batch> {
        let message = QueueId::new(message).unwrap();
        let to_host = |number: usize| {
            let domain = format!("host{number}.test");
            let recipients = vec![(message.recipient(number), domain.as_str().into())];
            Batch { message, recipients, ..batch(0, &domain) }
        };
        hosts.map(to_host).collect()
    }

    #[test]
    fn messages_to_many_hosts_that_hang_leave_places_to_others() {
        let limits = Limits { window: 100_000, deliveries: 10, ..LIMITS };
        let mut scheduler = Scheduler::new(limits);
        for hanging in 1..=2 {
            scheduler.ready(to_many(hanging, 0..1200), NOW);
        }
        assert!(scheduler.running() < 10, "{}", scheduler.running());
        let good = scheduler.ready(vec![batch(9000, "good.test")], NOW);
        assert_eq!(started(&good).len(), 1);
        // Another message to a host of theirs goes before what may not start.
        let same = scheduler.ready(vec![batch(9001, "host1199.test")], NOW);
        assert_eq!(started(&same).len(), 1);
    }

    #[test]
    fn all_deliveries_are_bounded_and_all_get_their_turn() {
        let limits = Limits { window: 100_000, deliveries: 10, ..LIMITS };
        let mut scheduler = Scheduler::new(limits);
        let mut running: VecDeque<Batch> = VecDeque::new();
        let mut count = 0;
        let commands = (0..500).flat_map(|number| {
            scheduler.ready(vec![batch(number, &format!("host{number}.test"))], NOW)
        });
        let starts = |commands: Vec<Command>| {
            commands.into_iter().filter_map(|command| match command {
                Command::Start(batch) => Some(batch),
                _ => None,
            })
        };
        running.extend(starts(commands.collect()));
        while let Some(batch) = running.pop_front() {
            assert!(scheduler.running() <= 10);
            count += 1;
            let Batch { destination, recipients, .. } = batch;
            let done = Finished {
                destination,
                recipients,
                deferred: Vec::new(),
                unreached: None,
                ended: false,
                tried: true,
            };
            running.extend(starts(scheduler.finished(done, NOW)));
        }
        assert_eq!(count, 500);
        assert!(scheduler.waiting.is_empty() && scheduler.destinations.is_empty());
    }

    #[test]
    fn what_is_loaded_twice_is_tried_once() {
        let mut scheduler = Scheduler::new(LIMITS);
        assert_eq!(started(&scheduler.ready(vec![batch(1, "a.test")], NOW)).len(), 1);
        assert_eq!(started(&scheduler.ready(vec![batch(1, "a.test")], NOW)).len(), 0);
    }

    #[test]
    fn a_domain_is_loaded_when_due_and_forgotten_when_done() {
        let mut scheduler = Scheduler::new(LIMITS);
        let domain: Arc<str> = "a.test".into();
        scheduler.expect(&domain, Timestamp(NOW.0 + 10));
        assert!(scheduler.tick(NOW).is_empty());
        assert_eq!(scheduler.tick(Timestamp(NOW.0 + 10)).len(), 1);
        scheduler.loaded(&domain, vec![batch(1, "a.test")], None, NOW);
        scheduler.finished(finished(1, "a.test", false), NOW);
        assert!(
            scheduler.domains.is_empty()
                && scheduler.destinations.is_empty()
                && scheduler.agenda.is_empty()
        );
    }

    #[test]
    fn what_is_withdrawn_is_not_tried() {
        let mut scheduler = Scheduler::new(LIMITS);
        scheduler.ready(batches(0..10, "a.test"), NOW);
        scheduler.withdraw(Some(QueueId::new(7).unwrap()));
        let mut seen = Vec::new();
        for number in 0..7 {
            seen.extend(started(&scheduler.finished(finished(number, "a.test", false), NOW)));
        }
        assert!(
            !seen.contains(&QueueId::new(7).unwrap()) && seen.contains(&QueueId::new(8).unwrap()),
            "{seen:?}"
        );
    }
}
