//! kill -9 and SIGTERM in the middle of a load.

use std::time::Duration;

use facteur_tests::{
    Dns, Facteur, GATEWAY, Gateway, Load, Machine, Plan, Sink, arrived, machine_within, sized,
    within,
};

/// How long a load with its restarts may take.
const LONG: Duration = Duration::from_secs(600);
/// What may be lost track of in a crash: what the clients had under way at each one.
const CLIENTS: usize = 20;

fn gateway(machine: &Machine) -> Facteur {
    let more = "[queue]\nminimal-backoff = \"1s\"\nmaximal-backoff = \"2s\"";
    let routes = [("*", "smtp:[127.0.0.2]:25")];
    let config = Gateway { routes: &routes, more, ..Gateway::default() }.write(machine, "crash");
    Facteur::start(machine, &config)
}

fn plan(messages: usize) -> Plan {
    Plan {
        to: "127.0.0.1:25",
        clients: CLIENTS,
        messages,
        recipient: |number| format!("box{number}@hop.test"),
        size: size_of_message,
    }
}

/// Mostly 4 KiB; some are larger than what goes into the database.
fn size_of_message(number: usize) -> usize {
    if number.is_multiple_of(50) { 100_000 } else { 4_096 }
}

#[test]
fn what_was_answered_250_arrives_though_the_program_is_killed_again_and_again() {
    machine_within(LONG, |machine| {
        let (messages, crashes) = sized((1_000, 3), (20_000, 100));
        let _dns = Dns::start("127.0.0.1", "");
        let sink = Sink::start("127.0.0.2:25");
        let mut facteur = gateway(machine);
        let load = Load::start(plan(messages));
        for crash in 1..=crashes {
            // What is under way at a crash is never counted as taken.
            load.wait_for(crash * (messages - crashes * CLIENTS) / (crashes + 1));
            facteur.kill();
            facteur.restart();
        }
        let heard = load.finish();
        within(LONG, "the queue to be empty", || facteur.queued().is_empty().then_some(()));

        let counts = arrived(&sink.taken(), size_of_message);
        let missing: Vec<_> =
            heard.taken.iter().filter(|number| !counts.contains_key(number)).collect();
        assert!(missing.is_empty(), "answered 250 and lost: {missing:?}");
        assert_eq!(heard.taken.len() + heard.others.len(), messages);
        // Each crash can cost the clients the answers to what they had under way, and no more.
        assert!(heard.others.len() <= crashes * CLIENTS, "{:?}", heard.others);
        assert!(heard.ends.len() >= crashes, "the crashes weren't in the middle of the load");
        let twice = counts.values().filter(|&&count| count > 1).count();
        let doubtful = heard.others.keys().filter(|number| counts.contains_key(number)).count();
        println!(
            "{crashes} crashes: {} answered 250, all arrived, {twice} more than once; {} not \
             answered, of which {doubtful} arrived",
            heard.taken.len(),
            heard.others.len(),
        );
    });
}

#[test]
fn a_stop_in_the_middle_of_a_load_loses_nothing_and_sends_nothing_twice() {
    machine_within(LONG, |machine| {
        let (messages, stops) = sized((600, 2), (5_000, 10));
        let _dns = Dns::start("127.0.0.1", "");
        let sink = Sink::start("127.0.0.2:25");
        let mut facteur = gateway(machine);
        let load = Load::start(plan(messages));
        for stop in 1..=stops {
            load.wait_for(stop * messages / (stops + 1));
            facteur.stop();
            facteur.restart();
        }
        let heard = load.finish();
        within(LONG, "the queue to be empty", || facteur.queued().is_empty().then_some(()));

        let told = format!("421 4.3.2 {GATEWAY} Service shutting down");
        assert!(!heard.ends.is_empty(), "the stops weren't in the middle of the load");
        let surprised: Vec<_> = heard.ends.iter().filter(|words| **words != told).collect();
        assert!(surprised.is_empty(), "sessions ended otherwise: {surprised:?}");
        let counts = arrived(&sink.taken(), size_of_message);
        let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "twice: {twice:?}");
        // What was answered arrived, and nothing else did.
        let arrived = counts.keys().copied().collect();
        assert_eq!(heard.taken, arrived);
        println!(
            "{stops} stops: {} answered 250 and arrived, {} told to go",
            heard.taken.len(),
            heard.ends.len()
        );
    });
}
