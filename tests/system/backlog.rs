//! A large queue: what it costs in memory, and how long a start on it takes.

use std::time::{Duration, Instant};

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Load, Plan, Sink, letter, machine_within, sized, within,
};

/// How long it may take to fill the queue.
const LONG: Duration = Duration::from_secs(400);
/// Resident memory of the program, in KiB, whatever lies in the queue.
const RESIDENT_AT_MOST: u64 = 256 * 1024;
/// From the start of the process to the first client.
const START_AT_MOST: Duration = Duration::from_secs(5);

#[test]
fn a_large_queue_costs_little_memory_and_starts_quickly() {
    machine_within(LONG, |machine| {
        let messages: usize = sized(10_000, 50_000);
        let _dns = Dns::start("127.0.0.1", "");
        let good = Sink::start("127.0.0.2:25");
        let routes = [("good.test", "smtp:[127.0.0.2]:25"), ("*", "smtp:[127.0.0.4]:25")];
        let config = Gateway { routes: &routes, ..Gateway::default() }.write(machine, "backlog");
        let mut facteur = Facteur::start(machine, &config);
        let idle = facteur.memory("VmRSS");
        let started = Instant::now();
        // Messages to many domains, all of them dead: neither may cost memory without a bound.
        let load = Load::start(Plan {
            to: "127.0.0.1:25",
            clients: 20,
            messages,
            recipient: |number| format!("box{number}@dead{}.test", number % 500),
            size: |_| 1_000,
        });
        assert_eq!(load.finish().taken.len(), messages);
        let taken = started.elapsed();
        // The queue is busy with deferring; a good message still goes out.
        let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
        client.ehlo();
        client.deliver("a@sender.test", &["b@good.test"], &letter("good"));
        good.one();
        within(Duration::from_secs(60), "all to be deferred", || {
            let queued = facteur.queued();
            assert_eq!(queued.len(), messages);
            queued.iter().all(|entry| entry.recipients[0].attempts >= 1).then_some(())
        });
        let (now, most) = (facteur.memory("VmRSS"), facteur.memory("VmHWM"));

        facteur.kill();
        let killed = Instant::now();
        facteur.restart();
        let start = killed.elapsed();
        let after = facteur.memory("VmHWM");
        facteur.queue(&["flush", "--all"]);
        within(Duration::from_secs(60), "all to be tried again", || {
            facteur.queued().iter().all(|entry| entry.recipients[0].attempts >= 2).then_some(())
        });
        let flushed = facteur.memory("VmHWM");
        println!(
            "{messages} messages taken in {taken:?}; resident KiB: {idle} idle, {now} queued, \
             {most} at most; start after a crash \
             {start:?}, {after} KiB then, {flushed} at most while all was tried again"
        );
        assert!(
            most.max(after).max(flushed) <= RESIDENT_AT_MOST,
            "more than {RESIDENT_AT_MOST} KiB"
        );
        assert!(start < START_AT_MOST, "the start took {start:?}");
    });
}
