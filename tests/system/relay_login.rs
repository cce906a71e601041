//! Logging in to a server that relays for us: real Postfix with Dovecot, and servers that refuse,
//! don't offer, or aren't to be trusted with a password.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use facteur_tests::{
    Authority, Client, DOVECOT_SOCKET, Dns, Dovecot, Facteur, Gateway, Key, Machine, Postfix, Sink,
    letter, machine, until,
};

const CREDENTIALS: &str = "/etc/facteur/credentials";
const QUICK: &str = "[queue]\nminimal-backoff = \"1s\"\nmaximal-backoff = \"1s\"\n";

/// Writes the logins; only their owner can read them.
fn credentials(machine: &Machine, lines: &str) {
    machine.write(CREDENTIALS, lines);
    fs::set_permissions(CREDENTIALS, fs::Permissions::from_mode(0o600)).unwrap();
}

fn start(machine: &Machine, routes: &[(&str, &str)], delivery: &str, more: &str) -> Facteur {
    let more = format!("[delivery]\ncredentials = \"{CREDENTIALS}\"\n{delivery}\n{more}");
    let config = Gateway { routes, more: &more, ..Gateway::default() };
    Facteur::start(machine, &config.write(machine, "relay-login"))
}

fn send(from: &str, to: &str) -> String {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{from}>"), 250);
    client.expect(&format!("RCPT TO:<{to}>"), 250);
    client.expect("DATA", 354);
    client.content(&letter(to)).queue_id().to_owned()
}

fn last_reply(facteur: &Facteur, id: &str) -> String {
    let entry = facteur.wait_until_deferred(id, 1);
    entry.recipients[0].last_reply.clone().unwrap_or_default()
}

#[test]
fn postfix_with_dovecot_takes_each_mechanism_and_each_sender() {
    machine(|machine| {
        machine.addresses(&["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
        let _dns = Dns::start("127.0.0.1", "");
        let sink = Sink::start("127.0.0.9:25");
        let _dovecot = Dovecot::start(
            machine,
            "plain login scram-sha-256",
            "louen:{PLAIN}sa=me,\nann:{PLAIN}sesame\n",
        );
        Authority::new(machine).issue("mx", &["relay.test"], Key::Ecdsa);
        let relay = |name: &str, address: &str, mechanism: &str| {
            let main = format!(
                "myhostname = relay.test\nmydestination =\nmynetworks =\n\
                 smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n\
                 smtpd_sasl_path = {DOVECOT_SOCKET}\n\
                 smtpd_sasl_mechanism_filter = {mechanism}\n\
                 smtpd_sasl_authenticated_header = yes\nsmtpd_tls_auth_only = yes\n\
                 smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /etc/tls/mx.key, \
                 /etc/tls/mx.pem\n\
                 smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
                 relayhost = [127.0.0.9]:25\n"
            );
            Postfix::start(machine, name, &format!("{address}:587"), &main, "")
        };
        let peers = [
            ("scram", "127.0.0.2", "SCRAM-SHA-256"),
            ("plain", "127.0.0.3", "PLAIN"),
            ("login", "127.0.0.4", "LOGIN"),
        ]
        .map(|(name, address, mechanism)| (relay(name, address, mechanism), mechanism));
        credentials(
            machine,
            "[127.0.0.2]:587 louen:sa=me,\n127.0.0.3:587 louen:sa=me,\n127.0.0.4 \
             louen:sa=me,\nann@sender.test ann:sesame\n",
        );
        let routes = [
            ("scram.test", "smtp:[127.0.0.2]:587"),
            ("plain.test", "smtp:[127.0.0.3]:587"),
            ("login.test", "smtp:[127.0.0.4]:587"),
        ];
        let tls = "[delivery.tls]\nlevel = \"secure match=relay.test\"\nca-file = \
                   \"/etc/tls/ca.pem\"\n";
        let facteur = start(machine, &routes, "", tls);
        for (number, (domain, _)) in routes.iter().enumerate() {
            for sender in ["somebody@sender.test", "ann@sender.test"] {
                send(sender, &format!("x@{domain}"));
            }
            sink.mail(2 * (number + 1));
        }
        for (postfix, mechanism) in &peers {
            for user in ["louen", "ann"] {
                let told = format!("sasl_method={mechanism}, sasl_username={user}");
                until(&told, || postfix.log().contains(&told).then_some(()));
            }
        }
        let authenticated = sink
            .taken()
            .iter()
            .filter(|mail| mail.text().contains("(Authenticated sender: ann)"))
            .count();
        assert_eq!(authenticated, 3);
        facteur.wait_until_empty();
        // A wrong password makes the mail wait, and is said in nobody's log.
        credentials(machine, "[127.0.0.2]:587 louen:wrong\n");
        facteur.run(&["reload"]).success();
        let id = send("somebody@sender.test", "x@scram.test");
        let reply = last_reply(&facteur, &id);
        assert!(
            reply.contains("450 4.7.8 login at host 127.0.0.2[127.0.0.2]:587 failed"),
            "{reply}"
        );
        assert!(!facteur.log().contains("wrong") && !facteur.log().contains("sa=me"));
    });
}

#[test]
fn a_refused_login_is_tried_once_for_all_that_waits() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        Authority::new(machine).issue("mx", &["relay.test"], Key::Ecdsa);
        let sink = Sink::start("127.0.1.1:25");
        sink.secure(&Authority::server("mx"));
        sink.keywords(&["PIPELINING", "AUTH PLAIN LOGIN"]);
        sink.answer("AUTH", "535 5.7.8 who?");
        credentials(machine, "[127.0.1.1] u:p\n");
        let queue = "[queue]\nminimal-backoff = \"1h\"\nmaximal-backoff = \"1h\"\n\
                     destination-concurrency = 1\n";
        let facteur = start(machine, &[("*", "smtp:[127.0.1.1]")], "", queue);
        let id = send("a@sender.test", "x@one.test");
        let reply = last_reply(&facteur, &id);
        assert!(
            reply.contains(
                "4.7.8 login at host 127.0.1.1[127.0.1.1]:25 failed: server said: \
                                535 5.7.8 who?"
            ),
            "{reply}"
        );
        for number in 0..3 {
            let id = send("a@sender.test", &format!("x{number}@one.test"));
            last_reply(&facteur, &id);
        }
        let logins = sink.heard().iter().filter(|line| line.starts_with("AUTH ")).count();
        assert_eq!(logins, 1, "{:?}", sink.heard());
        assert_eq!(sink.count(), 0);
    });
}

#[test]
fn no_password_goes_in_the_clear_unless_the_operator_says_so() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        Authority::new(machine).issue("mx", &["relay.test"], Key::Ecdsa);
        let plain = Sink::start("127.0.1.1:25");
        plain.keywords(&["AUTH PLAIN"]);
        let unable = Sink::start("127.0.1.2:25");
        unable.secure(&Authority::unable());
        unable.keywords(&["AUTH PLAIN"]);
        let silent = Sink::start("127.0.1.3:25");
        silent.secure(&Authority::server("mx"));
        let strange = Sink::start("127.0.1.4:25");
        strange.secure(&Authority::server("mx"));
        strange.keywords(&["AUTH CRAM-MD5 XOAUTH2"]);
        credentials(
            machine,
            "[127.0.1.1] u:p\n[127.0.1.2] u:p\n[127.0.1.3] u:p\n[127.0.1.4] u:p\n",
        );
        let routes = [
            ("plain.test", "smtp:[127.0.1.1]"),
            ("unable.test", "smtp:[127.0.1.2]"),
            ("silent.test", "smtp:[127.0.1.3]"),
            ("strange.test", "smtp:[127.0.1.4]"),
        ];
        let mut facteur = start(machine, &routes, "", QUICK);
        for (domain, words) in [
            ("plain", "4.7.4 TLS is required, but was not offered by host 127.0.1.1"),
            ("unable", "4.7.5 Cannot start TLS"),
            (
                "silent",
                "4.7.4 there is a login for host 127.0.1.3[127.0.1.3]:25, which offers no AUTH",
            ),
            ("strange", "offers AUTH by CRAM-MD5, XOAUTH2 only"),
        ] {
            let id = send("a@sender.test", &format!("x@{domain}.test"));
            // However old it becomes.
            let entry = facteur.wait_until_deferred(&id, 3);
            let reply = entry.recipients[0].last_reply.clone().unwrap();
            assert!(reply.contains(words), "{reply}");
        }
        for sink in [&plain, &unable, &silent, &strange] {
            assert!(sink.heard().iter().all(|line| !line.starts_with("AUTH")));
            assert_eq!(sink.count(), 0);
        }
        facteur.stop();
        let facteur = start(machine, &routes, "credentials-in-the-clear = true", QUICK);
        plain.mail(1);
        assert!(plain.heard().contains(&"AUTH PLAIN AHUAcA==".to_owned()));
        assert_eq!(unable.count(), 0, "after a handshake that failed nothing is said");
        until("the others to be left", || (facteur.queued().len() == 3).then_some(()));
    });
}

#[test]
fn a_token_is_shown_by_xoauth2_and_a_file_that_others_read_is_not_used() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        Authority::new(machine).issue("mx", &["relay.test"], Key::Ecdsa);
        let sink = Sink::start("127.0.1.1:25");
        sink.secure(&Authority::server("mx"));
        sink.keywords(&["AUTH PLAIN XOAUTH2"]);
        credentials(machine, "[127.0.1.1] xoauth2 me@x.test:token\n");
        let mut facteur = start(machine, &[("*", "smtp:[127.0.1.1]")], "", QUICK);
        send("a@sender.test", "x@one.test");
        sink.mail(1);
        let said = "AUTH XOAUTH2 dXNlcj1tZUB4LnRlc3QBYXV0aD1CZWFyZXIgdG9rZW4BAQ==";
        assert!(sink.heard().contains(&said.to_owned()), "{:?}", sink.heard());
        facteur.stop();
        fs::set_permissions(CREDENTIALS, fs::Permissions::from_mode(0o644)).unwrap();
        let check = facteur.run(&["check"]);
        assert!(check.err.contains("every user of the machine can read the passwords: chmod o="));
        facteur.restart();
        let id = send("a@sender.test", "x@one.test");
        let reply = last_reply(&facteur, &id);
        assert!(reply.contains("4.3.5 the login for [127.0.1.1] can't be used now"), "{reply}");
    });
}
