//! What the other tests stand on.

use facteur_tests::{Client, Postfix, Sink, Site, SmtpSink, letter, machine};

#[test]
fn a_machine_has_addresses_users_and_ports_of_its_own() {
    machine(|machine| {
        machine.addresses(&["192.0.2.1", "2001:db8::1"]);
        let sink = Sink::start("192.0.2.1:25");
        let mut client = Client::connect("127.0.0.1", "192.0.2.1:25");
        client.expect("EHLO x", 250);
        client.envelope("a@example.org", &["b@example.org"]);
        assert_eq!(client.content(&letter("one")), "250 2.0.0 taken");
        let mail = sink.one();
        assert_eq!((mail.sender.as_str(), mail.content), ("a@example.org", letter("one")));
        assert!(std::fs::read_to_string("/etc/passwd").unwrap().contains("louen:"));
        assert_eq!(std::fs::read_dir("/var/mail").unwrap().count(), 0);
        Sink::start("[2001:db8::1]:25");
    });
}

#[test]
fn smtp_sink_keeps_the_envelope() {
    machine(|machine| {
        let sink = SmtpSink::start(machine, "hop", "127.0.0.2:25", &[]);
        let mut client = Client::connect("127.0.0.1", "127.0.0.2:25");
        client.expect("EHLO x", 250);
        client.envelope("a@example.org", &["b@example.org", "\"c d\"@example.org"]);
        client.content(&letter("one"));
        let mail = sink.one();
        assert_eq!(mail.sender, "a@example.org");
        assert_eq!(mail.recipients, ["b@example.org", "\"c d\"@example.org"]);
        assert_eq!(mail.text(), String::from_utf8(letter("one")).unwrap().replace("\r\n", "\n"));
    });
}

#[test]
fn postfix_relays() {
    machine(|machine| {
        let site = Site::new(machine);
        let sink = site.hop("mx2.example.org");
        let main = "myhostname = postfix.example.net\nmynetworks = 127.0.0.0/8\nmydestination =\n";
        let postfix = Postfix::start(machine, "pf", "192.0.2.39:25", main, "");
        let mut client = Client::connect("127.0.0.1", "192.0.2.39:25");
        client.expect("EHLO x", 250);
        client.deliver("a@example.net", &["b@example.org"], &letter("one"));
        let mail = sink.one();
        assert_eq!(mail.recipients, ["b@example.org"]);
        assert!(mail.header("Received").unwrap().contains("by postfix.example.net (Postfix)"));
        assert!(postfix.run("postqueue", &["-p"]).success().contains("empty"));
        let asked = site.dns.asked();
        assert!(asked.contains(&"example.org MX".to_owned()), "{asked:?}");
    });
}
