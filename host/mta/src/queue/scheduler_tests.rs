use super::*;
use facteur_policy::{Route, SmtpRoute};
use facteur_smtp::status;

const LIMITS: Limits =
    Limits { window: 400, initial_concurrency: 5, concurrency: 20, deliveries: 1000 };
const NOW: Timestamp = Timestamp(1_000_000);

fn hop(host: &str) -> SmtpRoute {
    SmtpRoute { host: host.into(), port: 25, mx: true, source: None, tls: None, otherwise: None }
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
    let deferred = commands.iter().filter(|command| matches!(command, Command::Defer(..))).count();
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
        scheduler.ready(batches(slow * 1000..slow * 1000 + 500, &format!("slow{slow}.test")), NOW);
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
    assert!(scheduler.agenda.is_empty() && scheduler.destinations.is_empty());
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
