//! Mail that goes out under TLS: each level with good servers and bad ones, falling back to the
//! clear, connections and sessions, real Postfix.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use facteur_tests::{
    Authority, Client, Dns, Facteur, Gateway, Key, Machine, Postfix, Sink, letter, machine,
    machine_within, output_of, until,
};

/// A message is old enough for the clear after a second, and tried again each second.
const QUICK: &str = "[queue]\nminimal-backoff = \"1s\"\nmaximal-backoff = \"1s\"\n";
const TABLE: &str = "[delivery.tls]\nca-file = \"/etc/tls/ca.pem\"\npolicy-table = \"tls\"\n";

fn start(machine: &Machine, more: &str) -> Facteur {
    let config = Gateway { more, ..Gateway::default() }.write(machine, "delivery-tls");
    Facteur::start(machine, &config)
}

fn send(to: &[&str], subject: &str) -> String {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client.expect("MAIL FROM:<a@sender.test>", 250);
    for one in to {
        client.expect(&format!("RCPT TO:<{one}>"), 250);
    }
    client.expect("DATA", 354);
    client.content(&letter(subject)).queue_id().to_owned()
}

/// Servers of all kinds, each with an address of its own; those that have a certificate have it in
/// the file of their name.
const SERVERS: [&str; 9] =
    ["good", "other", "expired", "self", "version1", "plain", "refuses", "unable", "injects"];
const LEVELS: [&str; 6] = ["none", "may", "encrypt", "fingerprint", "verify", "secure"];

/// Starts them. The MX of `LEVEL-SERVER.test` is `mx.SERVER.test`.
fn servers(machine: &Machine) -> (Dns, BTreeMap<&'static str, Sink>) {
    let authority = Authority::new(machine);
    authority.issue("good", &["mx.good.test", "*.good.test", "secure-good.test"], Key::Ecdsa);
    authority.issue("other", &["elsewhere.test", "*.mx.other.test"], Key::Rsa);
    authority.issue_until("expired", &["mx.expired.test", "secure-expired.test"], Key::Ecdsa, 2021);
    authority.self_signed("self", &["mx.self.test", "secure-self.test"]);
    version1();
    let (mut table, mut sinks) = (String::new(), BTreeMap::new());
    for (number, server) in SERVERS.into_iter().enumerate() {
        let address = format!("127.0.1.{}", number + 1);
        writeln!(table, "mx.{server}.test A {address}").unwrap();
        for level in LEVELS {
            writeln!(table, "{level}-{server}.test MX 10 mx.{server}.test").unwrap();
        }
        let sink = Sink::start(&format!("{address}:25"));
        match server {
            "plain" => {}
            "refuses" => {
                sink.secure(&Authority::server("good"));
                sink.answer("STARTTLS", "454 4.7.0 not today");
            }
            "unable" => sink.secure(&Authority::unable()),
            "injects" => {
                sink.secure(&Authority::server("good"));
                sink.answer("STARTTLS", "220 go\r\n250-mx.good.test\r\n250 8BITMIME");
            }
            _ => sink.secure(&Authority::server(server)),
        }
        sinks.insert(server, sink);
    }
    (Dns::start("127.0.0.1", &table), sinks)
}

/// A certificate without extensions, of X.509 version 1.
fn version1() {
    let script = "cd /etc/tls && openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 \
                  -topk8 -nocrypt -out version1.key && openssl req -new -key version1.key -subj \
                  /CN=mx.version1.test -out new.csr && openssl x509 -req -in new.csr -signkey \
                  version1.key -out version1.pem && openssl x509 -in version1.pem -noout -text";
    let output = output_of(Command::new("sh").arg("-c").arg(script)).success();
    assert!(output.contains("Version: 1 (0x0)"), "{output}");
}

/// The SHA-256 of a certificate, as openssl writes it.
fn fingerprint(name: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(Authority::path(name));
    let output = output_of(&mut openssl).success();
    output.trim().rsplit_once('=').expect("openssl writes it behind =").1.to_owned()
}

#[test]
fn each_level_takes_what_it_must_and_nothing_less() {
    machine_within(Duration::from_secs(120), |machine| {
        let (_dns, sinks) = servers(machine);
        let fingerprints = format!("{}|{}", fingerprint("self.pem"), fingerprint("version1.pem"));
        let mut more = format!("{QUICK}{TABLE}[tables.tls]\nfile = \"/etc/tls/policies\"\n");
        more.push_str("[smtp.timeouts]\nstarttls = \"5s\"\n");
        let mut policies = String::new();
        for server in SERVERS {
            for level in LEVELS {
                let attribute = match level {
                    "fingerprint" => format!(" match={fingerprints}"),
                    _ => String::new(),
                };
                writeln!(policies, "{level}-{server}.test {level}{attribute}").unwrap();
            }
        }
        machine.write("/etc/tls/policies", &policies);
        let facteur = start(machine, &more);
        let all: Vec<String> = SERVERS
            .iter()
            .flat_map(|server| LEVELS.map(|level| format!("x@{level}-{server}.test")))
            .collect();
        send(&all.iter().map(String::as_str).collect::<Vec<_>>(), "levels");
        let unvouched = "isn't trusted: ";
        // What each server is lacking, level by level: nothing, or the words of the deferral.
        let wanted = |level: &str, server: &str| match (level, server) {
            ("none" | "may", _)
            | ("encrypt", "good" | "other" | "expired" | "self" | "version1")
            | ("fingerprint", "self" | "version1")
            | ("verify" | "secure", "good") => "",
            (_, "plain") => "4.7.4 TLS is required, but was not offered by host mx.plain.test",
            (_, "refuses") => "refused to start TLS: 454 4.7.0 not today",
            (_, "unable") => "4.7.5 Cannot start TLS: handshake failure with mx.unable.test",
            (_, "injects") => "more after the reply to STARTTLS",
            ("fingerprint", _) => "isn't one of those wanted",
            ("verify", "other") => {
                "its certificate is for elsewhere.test, *.mx.other.test, not for mx.other.test"
            }
            ("secure", "other") => "not for secure-other.test or .secure-other.test",
            (_, "expired") => "certificate expired",
            (_, "self" | "version1") => unvouched,
            other => panic!("{other:?}"),
        };
        // Those that go in the clear in the end do so at the second attempt at the latest.
        until("all that may go to be gone", || {
            let queued = facteur.queued();
            let left: BTreeMap<String, (u64, String)> = queued
                .iter()
                .flat_map(|entry| &entry.recipients)
                .map(|one| {
                    let reply = one.last_reply.clone().unwrap_or_default();
                    (one.address.clone(), (one.attempts, reply))
                })
                .collect();
            for server in SERVERS {
                for level in LEVELS {
                    let words = wanted(level, server);
                    match (words, left.get(&format!("x@{level}-{server}.test"))) {
                        ("", None) => {}
                        ("", Some((attempts, reply))) => {
                            let falls_back = ["unable", "injects"].contains(&server);
                            assert!(
                                *attempts == 0 || falls_back && *attempts <= 2,
                                "{level} {server}: {reply}"
                            );
                            return None;
                        }
                        (_, None) => panic!("{level} {server} is gone"),
                        (_, Some((0, _))) => return None,
                        (words, Some((_, reply))) => {
                            assert!(reply.contains(words), "{level} {server}: {reply}");
                        }
                    }
                }
            }
            Some(())
        });
        for server in SERVERS {
            let sink = &sinks[server];
            for (mail, secured) in sink.taken().iter().zip(sink.secured()) {
                for to in &mail.recipients {
                    let is_tls = !to.starts_with("x@none-")
                        && !["plain", "refuses", "unable", "injects"].contains(&server);
                    assert_eq!(secured, is_tls, "{to}");
                }
            }
        }
        let log = facteur.log();
        for told in [
            "Verified TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
            "Trusted TLSv1.3",
            "Untrusted TLSv1.3",
            "tried without TLS",
        ] {
            assert!(log.contains(told), "{told}");
        }
    });
}

#[test]
fn a_young_message_waits_and_an_old_one_goes_in_the_clear() {
    machine(|machine| {
        let dns = Dns::start("127.0.0.1", "bad.test MX 10 mx.bad.test\nmx.bad.test A 127.0.1.1");
        let sink = Sink::start("127.0.1.1:25");
        sink.secure(&Authority::unable());
        let queue = "[queue]\nminimal-backoff = \"1h\"\nmaximal-backoff = \"1h\"\n";
        let mut facteur = start(machine, queue);
        let id = send(&["x@bad.test"], "young");
        let entry = facteur.wait_until_deferred(&id, 1);
        let reply = entry.recipients[0].last_reply.clone().unwrap();
        assert!(reply.contains("4.7.5 Cannot start TLS"), "{reply}");
        // Asked for by hand it waits again: it is as young as before.
        facteur.queue(&["flush", "--all"]);
        facteur.wait_until_deferred(&id, 2);
        assert_eq!(sink.count(), 0);
        facteur.stop();
        let facteur = start(machine, QUICK);
        facteur.queue(&["flush", "--all"]);
        facteur.wait_for_log("tried without TLS");
        assert_eq!(sink.mail(1)[0].recipients, ["x@bad.test"]);
        assert_eq!(sink.secured(), [false]);
        drop(dns);
    });
}

#[test]
fn a_handshake_that_hangs_ends_in_time() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let listener = std::net::TcpListener::bind("127.0.1.1:25").unwrap();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                let mut client = std::io::BufReader::new(stream);
                for reply in ["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n"] {
                    let mut line = String::new();
                    if !reply.starts_with("220 mx") {
                        std::io::BufRead::read_line(&mut client, &mut line).unwrap();
                    }
                    std::io::Write::write_all(client.get_mut(), reply.as_bytes()).unwrap();
                }
                kept.push(client);
            }
        });
        let more = "[smtp.timeouts]\nstarttls = \"1s\"\n[delivery.tls]\nlevel = \"encrypt\"\n";
        let routes = [("slow.test", "smtp:[127.0.1.1]")];
        let config = Gateway { more, routes: &routes, ..Gateway::default() };
        let facteur = Facteur::start(machine, &config.write(machine, "delivery-tls"));
        let id = send(&["x@slow.test"], "slow");
        let entry = facteur.wait_until_deferred(&id, 1);
        let reply = entry.recipients[0].last_reply.clone().unwrap();
        assert!(
            reply.ends_with("handshake failure with 127.0.1.1[127.0.1.1]:25: not done in time")
        );
    });
}

#[test]
fn connections_are_shared_by_destinations_of_one_policy_only_and_sessions_are_resumed() {
    machine(|machine| {
        let zone: String = ["a", "b", "c", "d"]
            .iter()
            .map(|domain| format!("{domain}.test MX 10 mx.test\n"))
            .chain(["mx.test A 127.0.1.1\n".to_owned()])
            .collect();
        let _dns = Dns::start("127.0.0.1", &zone);
        let authority = Authority::new(machine);
        authority.issue("mx", &["mx.test", "d.test"], Key::Ecdsa);
        authority.issue("own", &["gateway.test"], Key::Rsa);
        let sink = Sink::start("127.0.1.1:25");
        sink.secure(&Authority::server("mx"));
        let more = "[smtp]\nidle-connection = \"30s\"\n[delivery.tls]\nca-file = \
                    \"/etc/tls/ca.pem\"\npolicy-table = \"tls\"\nchain = \"/etc/tls/own.pem\"\nkey \
                    = \"/etc/tls/own.key\"\n[tables.tls]\ninline = { \"c.test\" = \"verify\", \
                    \"d.test\" = \"secure protocols=TLSv1.2\" }\n";
        let mut facteur = start(machine, more);
        // Two of `may` share one; `verify` and `secure` have their own.
        for (number, (domain, connections)) in
            [("a", 1), ("b", 1), ("c", 2), ("a", 2), ("d", 3), ("c", 3)].into_iter().enumerate()
        {
            send(&[&format!("x@{domain}.test")], "shared");
            sink.mail(number + 1);
            facteur.wait_until_empty();
            assert_eq!(sink.connections(), connections, "{domain}");
        }
        let handshakes = sink.handshakes();
        assert!(handshakes.iter().all(|one| one.name.as_deref() == Some("mx.test")));
        assert!(handshakes.iter().all(|one| one.certified), "{handshakes:?}");
        // The second goes on with the first one's session, and is judged anew.
        let resumed: Vec<bool> = handshakes.iter().map(|one| one.resumed).collect();
        assert_eq!(resumed, [false, true, false]);
        let log = facteur.log();
        assert_eq!(log.matches(" TLS relay=").count(), 3, "one line for each handshake: {log}");
        assert!(log.contains("tls=\"Verified TLSv1.2 with cipher ECDHE-ECDSA-AES256-GCM-SHA384"));
        facteur.stop();
    });
}

#[test]
fn a_session_of_a_server_that_is_anybody_isnt_one_of_a_server_that_is_known() {
    machine(|machine| {
        let _dns = Dns::start(
            "127.0.0.1",
            "a.test MX 10 mx.test\nb.test MX 10 mx.test\nmx.test A 127.0.1.1",
        );
        let authority = Authority::new(machine);
        authority.self_signed("self", &["mx.test"]);
        let sink = Sink::start("127.0.1.1:25");
        sink.secure(&Authority::server("self"));
        let more = format!("{TABLE}[tables.tls]\ninline = {{ \"b.test\" = \"verify\" }}\n");
        let facteur = start(machine, &more);
        send(&["x@a.test"], "anybody");
        sink.mail(1);
        facteur.wait_until_empty();
        let id = send(&["x@b.test"], "known");
        let entry = facteur.wait_until_deferred(&id, 1);
        let reply = entry.recipients[0].last_reply.clone().unwrap();
        assert!(reply.contains("isn't trusted"), "{reply}");
        let resumed: Vec<bool> = sink.handshakes().iter().map(|one| one.resumed).collect();
        assert_eq!(resumed, [false, true]);
        assert_eq!(sink.count(), 1);
    });
}

#[test]
fn a_table_that_is_wrong_is_told_and_defers_what_it_is_about() {
    machine(|machine| {
        let zone = "a.test MX 10 mx.test\nb.test MX 10 mx.test\nmx.test A 127.0.1.1";
        let _dns = Dns::start("127.0.0.1", zone);
        let sink = Sink::start("127.0.1.1:25");
        let more = format!("{QUICK}{TABLE}[tables.tls]\nfile = \"/etc/tls/policies\"\n");
        Authority::new(machine);
        machine.write("/etc/tls/policies", "a.test secret\n");
        let mut facteur = start(machine, &more);
        let told = "table \"tls\": \"a.test\": there is no level \"secret\": write one of none, may, \
                    encrypt, fingerprint, verify, secure";
        facteur.wait_for_log(&told.replace('"', "\\\""));
        let check = facteur.run(&["check"]);
        assert!(check.err.contains(told), "{check:?}");
        let id = send(&["x@a.test", "x@b.test"], "waits");
        sink.mail(1);
        let entry = facteur.wait_until_deferred(&id, 1);
        let reply = entry.recipients[0].last_reply.clone().unwrap();
        assert!(reply.contains("4.3.5 the TLS policy for a.test can't be used now"), "{reply}");
        machine.write("/etc/tls/policies", "a.test may\n");
        sink.mail(2);
        facteur.stop();
    });
}

#[test]
fn postfix_takes_mail_under_tls_and_an_old_one_in_the_clear() {
    machine_within(Duration::from_secs(120), |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        machine.addresses(&["127.0.0.2", "127.0.0.3"]);
        let sink = Sink::start("127.0.0.4:25");
        let authority = Authority::new(machine);
        authority.issue("mx", &["postfix.test"], Key::Rsa);
        authority.issue("own", &["gateway.test"], Key::Ecdsa);
        let main = |more: &str| {
            format!(
                "myhostname = postfix.test\nmydestination =\nrelay_domains = hop.test, old.test\n\
                 relayhost = [127.0.0.4]:25\nsmtpd_tls_chain_files = /etc/tls/mx.key, \
                 /etc/tls/mx.pem\nsmtpd_tls_CAfile = /etc/tls/ca.pem\nsmtpd_tls_ask_ccert = yes\n\
                 smtpd_tls_received_header = yes\nsmtpd_tls_loglevel = 1\n{more}"
            )
        };
        let new = Postfix::start(
            machine,
            "new",
            "127.0.0.2:25",
            &main("smtpd_tls_security_level = encrypt\n"),
            "",
        );
        // It knows nothing newer than TLS 1.0.
        let old = Postfix::start(
            machine,
            "old",
            "127.0.0.3:25",
            &main(
                "smtpd_tls_security_level = may\nsmtpd_tls_protocols = TLSv1\n\
                 tls_medium_cipherlist = DEFAULT@SECLEVEL=0\n",
            ),
            "",
        );
        let more = format!(
            "{QUICK}[delivery.tls]\nca-file = \"/etc/tls/ca.pem\"\nchain = \"/etc/tls/own.pem\"\n\
             key = \"/etc/tls/own.key\"\npolicy-table = \"tls\"\n[tables.tls]\ninline = {{ \
             \"[127.0.0.2]\" = \"secure match=postfix.test\" }}\n"
        );
        let routes = [("hop.test", "smtp:[127.0.0.2]"), ("old.test", "smtp:[127.0.0.3]:25")];
        let config = Gateway { more: &more, routes: &routes, ..Gateway::default() };
        let facteur = Facteur::start(machine, &config.write(machine, "delivery-tls"));
        send(&["louen@hop.test", "louen@old.test"], "to Postfix");
        let mails = sink.mail(2);
        let secured: Vec<_> = mails
            .iter()
            .filter(|mail| mail.header("Received").unwrap_or_default().contains("using TLSv1.3"))
            .collect();
        assert_eq!(secured.len(), 1, "{}\n{}", new.log(), old.log());
        let received = secured[0].header("Received").unwrap();
        assert!(received.contains("Client CN \"own\", Issuer \"Authority\" (verified OK)"));
        assert!(old.log().contains("unsupported protocol"), "{}", old.log());
        facteur.wait_for_log("tried without TLS");
        facteur.wait_until_empty();
    });
}
