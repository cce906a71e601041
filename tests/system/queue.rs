//! Where mail goes out: destinations that are slow or dead, lists of servers, connections.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use facteur_tests::{
    Client, Dns, Facteur, GATEWAY, Gateway, Load, Machine, Plan, Sink, arrived, letter, machine,
    machine_within, until, within,
};

/// A second is long for what takes milliseconds.
const QUICK: &str = "[queue]\nminimal-backoff = \"1s\"\nmaximal-backoff = \"1s\"";

fn start(machine: &Machine, routes: &[(&str, &str)], more: &str) -> Facteur {
    let config = Gateway { routes, more, ..Gateway::default() }.write(machine, "queue");
    Facteur::start(machine, &config)
}

fn client() -> Client {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client
}

/// A next hop that takes connections and never says a word.
fn silent(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"))
}

#[test]
fn slow_and_dead_destinations_hold_up_no_other() {
    machine_within(Duration::from_secs(120), |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let good = Sink::start("127.0.0.2:25");
        let slow = silent("127.0.0.3:25");
        let routes = [
            ("good.test", "smtp:[127.0.0.2]:25"),
            ("slow.test", "smtp:[127.0.0.3]:25"),
            ("dead.test", "smtp:[127.0.0.4]:25"),
        ];
        let facteur = start(machine, &routes, "");
        let load = Load::start(Plan {
            to: "127.0.0.1:25",
            clients: 10,
            messages: 900,
            recipient: |number| {
                format!("box{number}@{}.test", ["slow", "dead", "good"][number % 3])
            },
            size: |_| 1_000,
        });
        let heard = load.finish();
        let sent = Instant::now();
        assert_eq!(heard.taken.len(), 900, "{:?}", heard.others);
        // Far less than any timeout that the slow one can run into.
        within(Duration::from_secs(5), "the good ones", || (good.count() >= 300).then_some(()));
        println!("the last of 300 good ones came {:?} after the last 250", sent.elapsed());
        let counts = arrived(&good.taken(), |_| 1_000);
        assert!(counts.len() == 300 && counts.keys().all(|number| number % 3 == 2));
        until("the dead ones to be deferred", || {
            let queued = facteur.queued();
            assert!(queued.len() >= 600, "{}", queued.len());
            let attempts = |domain: &str| {
                let of =
                    queued.iter().filter(|entry| entry.recipients[0].address.ends_with(domain));
                of.map(|entry| entry.recipients[0].attempts).collect::<Vec<_>>()
            };
            // Nothing is known of the slow one: its first connections still wait for a greeting.
            assert_eq!(attempts("@slow.test"), vec![0; 300]);
            (attempts("@dead.test") == vec![1; 300]).then_some(())
        });
        // A message that comes now goes out at once, too.
        let started = Instant::now();
        client().deliver("a@sender.test", &["late@good.test"], &letter("late"));
        within(Duration::from_secs(2), "the late one", || (good.count() == 301).then_some(()));
        println!("a later one took {:?}", started.elapsed());
        drop(slow);
    });
}

#[test]
fn slow_mail_that_fills_the_memory_leaves_room() {
    machine_within(Duration::from_secs(120), |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let good = Sink::start("127.0.0.2:25");
        let _slow = silent("127.0.0.3:25");
        let routes = [("good.test", "smtp:[127.0.0.2]:25"), ("slow.test", "smtp:[127.0.0.3]:25")];
        // Far more slow mail than fits into memory.
        let mut facteur = start(machine, &routes, "[queue]\nactive = 100");
        let load = |recipient| {
            Load::start(Plan {
                to: "127.0.0.1:25",
                clients: 5,
                messages: 400,
                recipient,
                size: |_| 1_000,
            })
        };
        load(|number| format!("box{number}@slow.test")).finish();
        load(|number| format!("box{number}@good.test")).finish();
        let only_slow_mail_is_left = |facteur: &Facteur| {
            within(Duration::from_secs(10), "the good ones to go", || {
                (facteur.queued().len() == 400).then_some(())
            });
        };
        only_slow_mail_is_left(&facteur);
        assert_eq!(good.count(), 400);
        // The same from the store: the program starts with all of it due.
        facteur.kill();
        facteur.restart();
        let second = load(|number| format!("box{number}@good.test")).finish();
        assert_eq!(second.taken.len(), 400);
        only_slow_mail_is_left(&facteur);
        assert_eq!(good.count(), 800);
    });
}

#[test]
fn the_list_of_mx_is_tried_to_its_end() {
    machine(|machine| {
        let _dns = Dns::start(
            "127.0.0.1",
            "hop.test      MX 10 refuses.hop.test
             hop.test      MX 20 busy.hop.test
             hop.test      MX 30 takes.hop.test
             hop.test      MX 40 never.hop.test
             refuses.hop.test A 127.0.0.11
             busy.hop.test    A 127.0.0.12
             takes.hop.test   A 127.0.0.13
             never.hop.test   A 127.0.0.14",
        );
        let (busy, takes, never) = (
            Sink::start("127.0.0.12:25"),
            Sink::start("127.0.0.13:25"),
            Sink::start("127.0.0.14:25"),
        );
        busy.answer("", "421 4.3.2 busy, come again");
        let facteur = start(machine, &[], "");
        client().deliver("a@sender.test", &["b@hop.test"], &letter("third"));
        takes.one().must_be(&letter("third"), GATEWAY);
        facteur.wait_until_empty();
        assert_eq!((busy.connections(), busy.count(), never.connections()), (1, 0, 0));
    });
}

#[test]
fn the_next_hops_of_an_entry_are_tried_in_their_order() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (busy, takes) = (Sink::start("127.0.0.12:25"), Sink::start("127.0.0.13:2525"));
        busy.answer("RCPT", "451 4.3.2 busy, come again");
        let hops = "smtp:[127.0.0.11], [127.0.0.12]:25, [127.0.0.13]:2525, [127.0.0.14]";
        let facteur = start(machine, &[("hop.test", hops)], "");
        client().deliver("a@sender.test", &["b@hop.test"], &letter("third"));
        takes.one().must_be(&letter("third"), GATEWAY);
        facteur.wait_until_empty();
        assert_eq!((busy.connections(), busy.count()), (1, 0));
    });
}

#[test]
fn a_next_hop_may_have_an_ipv6_address_only() {
    machine(|machine| {
        machine.addresses(&["2001:db8::9"]);
        let _dns =
            Dns::start("127.0.0.1", "hop.test MX 10 six.hop.test\nsix.hop.test AAAA 2001:db8::9");
        let sink = Sink::start("[2001:db8::9]:25");
        let facteur = start(machine, &[], "");
        client().deliver("a@sender.test", &["b@hop.test"], &letter("six"));
        sink.one().must_be(&letter("six"), GATEWAY);
        facteur.wait_until_empty();
    });
}

/// As if the clock had been a day ahead, and were set right before the next start.
#[test]
fn what_waits_for_a_clock_that_was_ahead_is_tried_when_it_is_set_right() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let a_day = "[queue]\nminimal-backoff = \"1d\"\nmaximal-backoff = \"1d\"";
        let mut facteur = start(machine, &[("*", "smtp:[127.0.0.2]:25")], a_day);
        let id = client().deliver("a@sender.test", &["x@hop.test"], &letter("late"));
        facteur.wait_until_deferred(&id, 1);
        facteur.stop();
        let database = File::options().append(true).open("/var/spool/facteur/queue.db").unwrap();
        database.set_modified(SystemTime::now() + Duration::from_hours(24)).unwrap();
        let sink = Sink::start("127.0.0.2:25");
        facteur.restart();
        sink.one().must_be(&letter("late"), GATEWAY);
        facteur.wait_for_log("the clock was ahead");
        facteur.wait_until_empty();
    });
}

#[test]
fn connections_are_used_again() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let sink = Sink::start("127.0.0.2:25");
        let facteur = start(machine, &[("*", "smtp:[127.0.0.2]:25")], "");
        let load = Load::start(Plan {
            to: "127.0.0.1:25",
            clients: 10,
            messages: 500,
            recipient: |number| format!("box{number}@hop.test"),
            size: |_| 1_000,
        });
        assert_eq!(load.finish().taken.len(), 500);
        facteur.wait_until_empty();
        assert_eq!(arrived(&sink.taken(), |_| 1_000).len(), 500);
        // At most 20 at once, each for 100 messages at most.
        println!("500 messages by {} connections", sink.connections());
        assert!(sink.connections() <= 30, "{} connections for 500 messages", sink.connections());
    });
}

#[test]
fn commands_are_pipelined() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let listener = TcpListener::bind("127.0.0.2:25").unwrap();
        let facteur = start(machine, &[("*", "smtp:[127.0.0.2]:25")], "");
        client().deliver("a@sender.test", &["b@hop.test", "c@hop.test"], &letter("piped"));
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut received = Vec::new();
        let mut until_ends_with = |stream: &mut std::net::TcpStream, end: &[u8]| {
            let mut buffer = [0; 4096];
            while !received.ends_with(end) {
                let length = stream
                    .read(&mut buffer)
                    .expect("the client waits for answers that it needn't wait for");
                assert_ne!(length, 0, "the client hung up");
                received.extend_from_slice(&buffer[..length]);
            }
        };
        stream.write_all(b"220 slow ESMTP\r\n").unwrap();
        until_ends_with(&mut stream, b"\r\n");
        stream.write_all(b"250-slow\r\n250 PIPELINING\r\n").unwrap();
        // Not a word before all of it is there.
        until_ends_with(&mut stream, b"RCPT TO:<c@hop.test>\r\nDATA\r\n");
        stream.write_all(b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go on\r\n").unwrap();
        until_ends_with(&mut stream, b"\r\n.\r\n");
        stream.write_all(b"250 taken\r\n").unwrap();
        facteur.wait_until_empty();
    });
}

#[test]
fn what_is_held_waits_until_it_is_released() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let routes = [("hop.test", "smtp:[127.0.0.2]:25"), ("dead.test", "smtp:[127.0.0.4]:25")];
        let mut facteur = start(machine, &routes, QUICK);
        let id = client().deliver("a@sender.test", &["b@hop.test"], &letter("held"));
        facteur.wait_until_deferred(&id, 1);
        facteur.queue(&["hold", &id]);
        let attempts = facteur.wait_until_deferred(&id, 1).recipients[0].attempts;
        // Neither a flush, nor a restart, nor its time lets it go.
        let sink = Sink::start("127.0.0.2:25");
        facteur.stop();
        facteur.restart();
        facteur.queue(&["flush", "--all"]);
        let clock = client().deliver("a@sender.test", &["b@dead.test"], &letter("clock"));
        facteur.wait_until_deferred(&clock, 3);
        let queued = facteur.queued();
        let held = queued.iter().find(|entry| entry.id == id).unwrap();
        assert_eq!(
            (held.recipients[0].state.as_str(), held.recipients[0].attempts),
            ("hold", attempts)
        );
        assert_eq!(sink.connections(), 0);
        facteur.queue(&["delete", &clock]);
        facteur.queue(&["release", &id]);
        assert_eq!(sink.one().header("Subject").unwrap(), "held");
        facteur.wait_until_empty();
    });
}
