//! What one client, or many that do nothing, may take of a listener.

use std::time::{Duration, Instant};

use facteur_tests::{
    Authority, Client, Facteur, Gateway, Key, Machine, Reply, letter, machine, machine_within,
    sized, until,
};

const SERVER: &str = "192.0.2.25:25";
/// Clients that nobody trusts.
const STRANGERS: [&str; 4] = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"];

/// How a client goes away.
type Vanish = fn(&mut Client);

fn start(machine: &Machine, limits: &str) -> Facteur {
    machine.addresses(&STRANGERS);
    machine.addresses(&["192.0.2.25"]);
    let gateway = Gateway { listen: SERVER, limits, ..Gateway::default() };
    Facteur::start(machine, &gateway.write(machine, "limits"))
}

fn hello(from: &str) -> Client {
    let mut client = Client::connect(from, SERVER);
    assert_eq!(client.greeting.code, 220, "{}", client.greeting);
    client.send("EHLO stranger.test");
    client
}

/// Another client's mail is taken.
fn takes_mail(from: &str) {
    hello(from).deliver("a@sender.test", &["admin@local.test"], &letter("in between"));
}

#[test]
fn a_client_has_so_many_connections_at_once() {
    machine(|machine| {
        let facteur = start(machine, "client-connections = 3");
        let mut open: Vec<Client> = (0..3).map(|_| hello(STRANGERS[0])).collect();
        assert_eq!(
            Client::connect(STRANGERS[0], SERVER).greeting,
            "421 4.7.0 gateway.test Error: too many connections from 203.0.113.1"
        );
        facteur.wait_for_log("more than 3 connections at once (client-connections)");
        takes_mail(STRANGERS[1]);
        // Whoever is trusted has no such limit.
        let _trusted: Vec<Client> = (0..10).map(|_| Client::connect("127.0.0.1", SERVER)).collect();
        open.pop().unwrap().send("QUIT");
        until("a place", || {
            (Client::connect(STRANGERS[0], SERVER).greeting.code == 220).then_some(())
        });
    });
}

#[test]
fn a_client_connects_so_often_in_a_minute() {
    machine(|machine| {
        let _facteur = start(machine, "client-connection-rate = 4");
        for _ in 0..4 {
            hello(STRANGERS[0]).send("QUIT");
        }
        let greeting = Client::connect(STRANGERS[0], SERVER).greeting;
        assert_eq!(greeting, "421 4.7.0 gateway.test Error: too many connections from 203.0.113.1");
        takes_mail(STRANGERS[1]);
    });
}

#[test]
fn a_client_sends_so_much_in_a_minute() {
    machine(|machine| {
        let _facteur = start(machine, "client-message-rate = 2\nclient-recipient-rate = 5");
        let mut client = hello(STRANGERS[0]);
        client.deliver("a@sender.test", &["admin@local.test"; 3], &letter("one"));
        // By whatever connection.
        let mut second = hello(STRANGERS[0]);
        assert_eq!(second.send("MAIL FROM:<a@sender.test>").code, 250);
        for _ in 0..2 {
            assert_eq!(second.send("RCPT TO:<admin@local.test>").code, 250);
        }
        assert_eq!(
            second.send("RCPT TO:<admin@local.test>"),
            "450 4.7.1 Error: too many recipients from 203.0.113.1"
        );
        assert_eq!(
            client.send("MAIL FROM:<a@sender.test>"),
            "450 4.7.1 Error: too much mail from 203.0.113.1"
        );
        takes_mail(STRANGERS[1]);
    });
}

#[test]
fn when_all_places_are_taken_whoever_holds_most_loses_one() {
    machine(|machine| {
        let facteur = start(machine, "connections = 6");
        let mut other = hello(STRANGERS[1]);
        let mut idle: Vec<Client> = (0..5).map(|_| hello(STRANGERS[0])).collect();
        // Once they count as idle.
        until("a place for a third", || {
            let mut third = Client::connect(STRANGERS[2], SERVER);
            (third.greeting.code == 220).then(|| third.send("QUIT"))
        });
        let lost = idle
            .iter_mut()
            .filter_map(|one| one.reply_within(Duration::from_millis(10)))
            .filter(|reply| reply.code == 421)
            .count();
        assert!(lost >= 1, "nobody lost a place");
        assert_eq!(other.send("NOOP").code, 250);
        facteur.wait_for_log("lost its place");
    });
}

#[test]
fn a_command_that_never_ends_and_content_that_drips_are_given_up() {
    machine(|machine| {
        let _facteur = start(machine, "timeout = \"2s\"");
        // A byte each tenth of a second, never a whole command.
        let started = Instant::now();
        let mut slow = hello(STRANGERS[0]);
        let reply = drip(&mut slow, b"N").expect("a reply");
        assert_eq!(reply, "421 4.4.2 gateway.test Error: timeout exceeded");
        assert!(started.elapsed() >= Duration::from_secs(2));
        // Content at less than 500 octets a second.
        let mut slow = hello(STRANGERS[1]);
        slow.send("MAIL FROM:<a@sender.test>");
        slow.send("RCPT TO:<admin@local.test>");
        slow.send("DATA");
        // There is no place for a reply before the end of the content.
        let started = Instant::now();
        assert_eq!(drip(&mut slow, b"x\r\n"), None);
        assert!(started.elapsed() >= Duration::from_secs(2));
        // And a client on a slow line, with more than that, for longer than the limit.
        let mut client = hello(STRANGERS[2]);
        client.send("MAIL FROM:<a@sender.test>");
        client.send("RCPT TO:<admin@local.test>");
        client.send("DATA");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(5) {
            client.write(format!("{}\r\n", "y".repeat(98)).as_bytes());
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(client.send(".").code, 250);
    });
}

/// Sends this every tenth of a second, until there is a reply; none if the connection ends.
fn drip(client: &mut Client, octets: &[u8]) -> Option<Reply> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(30) {
        if client.try_write(octets).is_err() {
            return None;
        }
        if let Some(reply) = client.reply_within(Duration::from_millis(100)) {
            return Some(reply);
        }
    }
    panic!("it may go on for ever");
}

#[test]
fn what_all_clients_send_takes_a_bounded_memory() {
    machine_within(Duration::from_secs(120), |machine| {
        // Each has 360 KB of headers that never end, and says them by and by.
        let clients = sized(600, 2_000);
        let facteur = start(machine, "memory = \"16MiB\"\nclient-connections = 2000");
        let before = facteur.memory("VmRSS");
        let headers = format!("Subject: {}\r\n", "x".repeat(78)).repeat(4_000);
        let mut open = Vec::new();
        for number in 0..clients {
            let mut client = hello(STRANGERS[number % 2]);
            client.envelope("a@sender.test", &["admin@local.test"]);
            // Where it loses its place, it can't say all of it.
            let _ = headers.as_bytes().chunks(4_096).try_for_each(|part| client.try_write(part));
            open.push(client);
        }
        takes_mail(STRANGERS[2]);
        let grown = facteur.memory("VmHWM").saturating_sub(before) / 1024;
        println!("{grown} MiB more for {clients} clients");
        // What all hold, and what each session is.
        let limit = 16 + clients as u64 * 40 / 1024 + 10;
        assert!(grown < limit, "{grown} MiB of {limit}");
        drop(open);
        // Nobody's memory stays.
        let mut client = hello(STRANGERS[3]);
        for _ in 0..20 {
            let text = [&b"X: y\r\n".repeat(20_000)[..], &letter("large")[..]].concat();
            client.deliver("a@sender.test", &["admin@local.test"], &text);
        }
    });
}

#[test]
fn a_client_that_speaks_before_its_greeting_is_refused_and_one_that_waits_is_remembered() {
    machine(|machine| {
        machine.addresses(&STRANGERS);
        machine.addresses(&["192.0.2.25"]);
        let more = "[[listen]]\naddress = \"192.0.2.25:26\"\ngreet-wait = \"700ms\"";
        let gateway = Gateway { more, ..Gateway::default() };
        let facteur = Facteur::start(machine, &gateway.write(machine, "pregreet"));
        let wait = Duration::from_millis(700);
        let greeted = |from: &str| {
            let started = Instant::now();
            (Client::connect(from, "192.0.2.25:26"), started.elapsed())
        };
        for _ in 0..2 {
            let mut early = Client::silent(STRANGERS[0], "192.0.2.25:26").unwrap();
            early.write(b"EHLO early.test\r\n");
            let reply = "521 5.5.1 gateway.test Error: you spoke before the greeting";
            assert_eq!(early.reply(), reply);
            early.must_close();
        }
        facteur.wait_for_log("spoke before the greeting");
        let (client, took) = greeted(STRANGERS[1]);
        assert!(client.greeting.code == 220 && took >= wait, "{} {took:?}", client.greeting);
        // Once is enough; and who is trusted needn't.
        for known in [STRANGERS[1], "127.0.0.1"] {
            let (mut client, took) = greeted(known);
            assert!(took < wait, "{known}: {took:?}");
            client.ehlo();
            client.deliver("a@sender.test", &["admin@local.test"], &letter("in time"));
        }
        // Others are as they were before.
        assert!(greeted(STRANGERS[0]).1 >= wait);
    });
}

#[test]
fn a_client_costs_so_many_tls_handshakes_in_a_minute() {
    machine(|machine| {
        let authority = Authority::new(machine);
        authority.issue("mx", &["mx.local.test", "192.0.2.25"], Key::Ecdsa);
        machine.addresses(&STRANGERS);
        machine.addresses(&["192.0.2.25"]);
        let more = format!(
            "{}[[listen]]\naddress = \"192.0.2.25:465\"\ntls = \"implicit\"\n\
             limits.client-tls-rate = 2\n",
            Authority::sections(&["mx"])
        );
        let limits = "client-tls-rate = 2";
        let gateway = Gateway { listen: SERVER, limits, more: &more, ..Gateway::default() };
        let facteur = Facteur::start(machine, &gateway.write(machine, "tls"));
        // Each time a client that remembers nothing.
        for _ in 0..2 {
            let mut client = hello(STRANGERS[0]);
            client.start_tls(&Authority::client(None), "mx.local.test").unwrap();
        }
        assert_eq!(
            hello(STRANGERS[0]).send("STARTTLS"),
            "421 4.7.0 gateway.test Error: too many new TLS sessions from 203.0.113.1"
        );
        takes_mail(STRANGERS[0]);
        let mut other = hello(STRANGERS[1]);
        // A session that is resumed costs little.
        let tls = Authority::client(None);
        other.start_tls(&tls, "mx.local.test").unwrap();
        other.ehlo();
        for _ in 0..4 {
            let mut again = hello(STRANGERS[1]);
            again.start_tls(&tls, "mx.local.test").unwrap();
            again.ehlo();
        }
        let at_once = |from| {
            Client::connect_tls(from, "192.0.2.25:465", &Authority::client(None), "mx.local.test")
        };
        for _ in 0..2 {
            at_once(STRANGERS[0]).unwrap();
        }
        assert!(at_once(STRANGERS[0]).is_err());
        assert!(at_once(STRANGERS[2]).is_ok());
        facteur.wait_for_log("too many handshakes in a minute (client-tls-rate)");
    });
}

#[test]
fn commands_that_do_nothing_end_a_session() {
    machine(|machine| {
        let _facteur = start(machine, "junk-commands = 5\nerrors = 3");
        let mut client = hello(STRANGERS[0]);
        let replies: Vec<u16> = (0..9).map(|_| client.send("NOOP").code).collect();
        assert_eq!(replies, [250, 250, 250, 250, 250, 250, 250, 250, 421]);
        client.must_close();
        // A message in between starts anew.
        let mut client = hello(STRANGERS[0]);
        for _ in 0..5 {
            for _ in 0..4 {
                client.expect("RSET", 250);
            }
            client.deliver("a@sender.test", &["admin@local.test"], &letter("between"));
        }
    });
}

#[test]
fn who_does_not_read_or_negotiate_or_fails_to_log_in_idles() {
    machine(|machine| {
        let authority = Authority::new(machine);
        authority.issue("mx", &["mx.local.test", "192.0.2.25"], Key::Ecdsa);
        let more = Authority::sections(&["mx"]);
        machine.addresses(&STRANGERS);
        machine.addresses(&["192.0.2.25"]);
        let limits = "connections = 2";
        let gateway = Gateway { listen: SERVER, limits, more: &more, ..Gateway::default() };
        let facteur = Facteur::start(machine, &gateway.write(machine, "idle"));
        let mut negotiates = hello(STRANGERS[0]);
        negotiates.expect("STARTTLS", 220);
        let mut deaf = hello(STRANGERS[0]);
        deaf.expect("MAIL FROM:<a@sender.test>", 250);
        deaf.expect("RCPT TO:<admin@local.test>", 250);
        // Replies that nobody reads, until there is no more room for them.
        let chunks = "BDAT 1\r\nx".repeat(1_000_000);
        std::thread::scope(|scope| {
            scope.spawn(|| deaf.try_write(chunks.as_bytes()));
            let others = [STRANGERS[1], STRANGERS[2]].map(|from| {
                until("a place", || {
                    let other = Client::connect(from, SERVER);
                    (other.greeting.code == 220).then_some(other)
                })
            });
            facteur.wait_for_log("it lost its place");
            drop(others);
        });
    });
}

#[test]
fn whoever_vanishes_gives_its_place_back() {
    machine(|machine| {
        let authority = Authority::new(machine);
        authority.issue("mx", &["mx.local.test", "192.0.2.25"], Key::Ecdsa);
        let more = Authority::sections(&["mx"]);
        machine.addresses(&STRANGERS);
        machine.addresses(&["192.0.2.25"]);
        let limits = "client-connections = 1";
        let gateway = Gateway { listen: SERVER, limits, more: &more, ..Gateway::default() };
        let _facteur = Facteur::start(machine, &gateway.write(machine, "vanish"));
        let vanishes: [(&str, Vanish); 5] = [
            ("at once", |_| {}),
            ("before the handshake", |client| drop(client.expect("STARTTLS", 220))),
            ("in the middle of a handshake", |client| {
                client.expect("STARTTLS", 220);
                client.write(b"\x16\x03\x01\x02\x00\x01");
            }),
            ("after the handshake", |client| {
                client.start_tls(&Authority::client(None), "mx.local.test").unwrap();
            }),
            ("in the middle of content", |client| {
                client.envelope("a@sender.test", &["admin@local.test"]);
                client.write(b"Subject: half");
            }),
        ];
        for (when, vanish) in vanishes {
            for _ in 0..3 {
                let mut client = until(&format!("a place after one that vanished {when}"), || {
                    let client = Client::connect(STRANGERS[0], SERVER);
                    (client.greeting.code == 220).then_some(client)
                });
                client.ehlo();
                vanish(&mut client);
            }
        }
    });
}
