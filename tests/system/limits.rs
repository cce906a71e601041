//! What one client, or many that do nothing, may take of a listener.

use std::time::{Duration, Instant};

use facteur_tests::{Client, Facteur, Gateway, Machine, Reply, letter, machine, until};

const SERVER: &str = "192.0.2.25:25";
/// Clients that nobody trusts.
const STRANGERS: [&str; 4] = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"];

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
