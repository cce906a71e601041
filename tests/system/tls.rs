//! STARTTLS and implicit TLS: what counts before and after, which certificate is shown, and clients
//! that mean harm.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use facteur_tests::{
    Authority, Client, Dns, Facteur, GATEWAY, Gateway, Key, Machine, letter, machine, until,
};
use rustix::process::Signal;

/// STARTTLS for those who want it; for everybody; TLS at once.
const MAY: &str = "127.0.0.1:25";
const MUST: &str = "127.0.0.1:26";
const AT_ONCE: &str = "127.0.0.1:465";
const NAME: &str = "mx.local.test";
const FROM: &str = "127.0.0.1";

/// The configuration, with these certificates and more of `[tls]`.
fn config(machine: &Machine, tls: &str) -> std::path::PathBuf {
    let listen = |address: &str, more: &str| {
        format!("[[listen]]\naddress = \"{address}\"\n{more}\nask-client-cert = true\n")
    };
    let more = format!(
        "{tls}\n{}{}",
        listen(MUST, "tls = \"encrypt\""),
        listen(AT_ONCE, "tls = \"implicit\"")
    );
    Gateway { more: &more, ..Gateway::default() }.write(machine, "tls")
}

/// An authority that issued a certificate for the server.
fn authority(machine: &Machine) -> Authority<'_> {
    let authority = Authority::new(machine);
    authority.issue("mx", &[NAME, "127.0.0.1"], Key::Ecdsa);
    authority
}

fn start(machine: &Machine) -> (Dns, Facteur) {
    let dns = Dns::start("127.0.0.1", "");
    let config = config(machine, &Authority::sections(&["mx"]));
    (dns, Facteur::start(machine, &config))
}

/// The first `Received:` of louen's message with this subject, on one line.
fn received(subject: &str) -> String {
    let subject = format!("\nSubject: {subject}\n");
    let mail = until("the message", || {
        let all = std::fs::read_dir("/var/mail/louen/new").into_iter().flatten().flatten();
        let mut all = all.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        all.find(|mail| mail.contains(&subject))
    });
    let (_, line) = mail.split_once("Received: ").expect("facteur says that it was here");
    let line = line.replace("\n\t", " ");
    line.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn mail_comes_under_tls_by_starttls_and_at_once() {
    machine(|machine| {
        let authority = authority(machine);
        authority.issue("somebody", &["client.test"], Key::Rsa);
        let (_dns, mut facteur) = start(machine);
        let tls = Authority::client(None);
        let to = &["louen@local.test"];

        let mut client = Client::connect(FROM, MAY);
        assert!(client.ehlo().text.contains("\nSTARTTLS\n"));
        client.start_tls(&tls, NAME).unwrap();
        assert!(!client.ehlo().text.contains("STARTTLS"));
        assert_eq!(client.send("STARTTLS"), "554 5.5.1 Error: TLS already active");
        client.deliver("a@sender.test", to, &letter("by STARTTLS"));
        assert_eq!(client.send("QUIT").code, 221);
        client
            .close_tls()
            .expect("the end is said under TLS, so that nobody else can have made it");
        let line = received("by STARTTLS");
        assert!(
            line.contains(
                "(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange \
                 X25519MLKEM768) (No client certificate requested) by gateway.test (facteur) with \
                 ESMTPS id "
            ),
            "{line}"
        );

        let own = Authority::client(Some("somebody"));
        let mut client = Client::connect_tls(FROM, AT_ONCE, &own, NAME).unwrap();
        assert_eq!(client.greeting, format!("220 {GATEWAY} ESMTP facteur").as_str());
        assert!(!client.ehlo().text.contains("STARTTLS"));
        client.deliver("a@sender.test", to, &letter("at once"));
        let line = received("at once");
        let shown = "(Client CN \"somebody\", Issuer \"Authority\" (not verified))";
        assert!(line.contains(shown) && line.contains("with ESMTPS"), "{line}");

        let mut client = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
        client.expect("HELO client.test", 250);
        client.deliver("a@sender.test", to, &letter("by HELO"));
        let line = received("by HELO");
        assert!(line.contains("(Client did not present a certificate)"), "{line}");
        assert!(line.contains("with SMTP id"), "there is no other word for it: {line}");

        let mut client = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
        client.ehlo();
        client.expect("MAIL FROM:<a@sender.test> SMTPUTF8", 250);
        client.expect("RCPT TO:<louen@local.test>", 250);
        client.expect("DATA", 354);
        assert_eq!(client.content("Subject: é\r\n\r\n".as_bytes()).code, 250);
        let line = received("é");
        assert!(line.contains("with UTF8SMTPS id"), "{line}");
        facteur.stop();
    });
}

#[test]
fn what_was_said_before_tls_never_counts_after_it() {
    machine(|machine| {
        let _authority = authority(machine);
        let (_dns, facteur) = start(machine);
        let tls = Authority::client(None);
        let out_of_step = "554 5.5.0 Error: SMTP protocol synchronization";

        // In one packet, and cut in two in the middle of the command.
        for pieces in [
            &["STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@x.test>\r\n"][..],
            &["STARTT", "LS\r\nRSET\r\n"],
            &["EHLO x\r\nSTARTTLS\r\nNOOP\r\n"],
            &["STARTTLS\r\n\r\n"],
            &["STARTTLS\n\n"],
        ] {
            let mut client = Client::connect(FROM, MAY);
            for piece in pieces {
                client.write(piece.as_bytes());
            }
            let mut reply = client.reply();
            if reply.code == 250 {
                reply = client.reply();
            }
            assert_eq!(reply, out_of_step, "{pieces:?}");
            client.must_close();
        }
        // Behind the answer, before the handshake.
        let mut client = Client::connect(FROM, MAY);
        client.expect("STARTTLS", 220);
        client.write(b"EHLO evil.test\r\nMAIL FROM:<evil@x.test>\r\n");
        assert!(client.secure(&tls, NAME).is_err());
        facteur.wait_for_log("no TLS");

        // The greeting, the envelope.
        let mut client = Client::connect(FROM, MAY);
        client.ehlo();
        client.expect("MAIL FROM:<a@sender.test>", 250);
        client.expect("RCPT TO:<louen@local.test>", 250);
        client.start_tls(&tls, NAME).unwrap();
        assert_eq!(client.send("DATA"), "503 5.5.1 Error: need RCPT command");
        assert_eq!(client.send("RCPT TO:<louen@local.test>"), "503 5.5.1 Error: need MAIL command");
        client.deliver("a@sender.test", &["louen@local.test"], &letter("after TLS"));
        let line = received("after TLS");
        assert!(!line.contains("client.example.net"), "the name is of the EHLO before: {line}");
    });
}

#[test]
fn nothing_of_mail_is_done_in_the_clear_where_tls_is_required() {
    machine(|machine| {
        let _authority = authority(machine);
        let (_dns, _facteur) = start(machine);
        let mut client = Client::connect(FROM, MUST);
        assert!(client.ehlo().text.contains("\nSTARTTLS\n"));
        for command in ["MAIL FROM:<a@sender.test>", "RCPT TO:<b@x.test>", "DATA", "VRFY x", "RSET"]
        {
            let reply = client.send(command);
            assert_eq!(reply, "530 5.7.0 Must issue a STARTTLS command first", "{command}");
        }
        assert_eq!(client.send("NOOP"), "250 2.0.0 Ok");
        client.start_tls(&Authority::client(None), NAME).unwrap();
        client.ehlo();
        client.deliver("a@sender.test", &["louen@local.test"], &letter("required"));
        received("required");
    });
}

#[test]
fn without_a_certificate_nothing_falls_back_to_the_clear() {
    machine(|machine| {
        let authority = authority(machine);
        authority.put("mx.key", "");
        let (_dns, facteur) = start(machine);
        facteur.wait_for_log("/etc/tls/mx.key: no private key is in it");
        let check = facteur.run(&["check"]);
        assert!(check.code == 1 && check.err.contains("mx.key: no private key"), "{check:?}");

        let mut client = Client::connect(FROM, MAY);
        assert!(client.ehlo().text.contains("STARTTLS"));
        let unavailable = "454 4.7.0 TLS not available due to local problem";
        assert_eq!(client.send("STARTTLS"), unavailable);
        client.expect("MAIL FROM:<a@sender.test>", 250);
        let mut client = Client::connect(FROM, MUST);
        client.ehlo();
        assert_eq!(client.send("STARTTLS"), unavailable);
        client.expect("MAIL FROM:<a@sender.test>", 530);
        let tls = Authority::client(None);
        assert!(Client::connect_tls(FROM, AT_ONCE, &tls, NAME).is_err());
        facteur.wait_for_log("no certificate can be used");
        // It is in force as soon as it is good.
        authority.issue("mx", &[NAME], Key::Ecdsa);
        until("the certificate", || Client::connect_tls(FROM, AT_ONCE, &tls, NAME).ok());
    });
}

#[test]
fn a_certificate_is_renewed_while_the_program_runs_and_a_broken_one_is_not_taken() {
    machine(|machine| {
        let authority = authority(machine);
        let (_dns, mut facteur) = start(machine);
        let tls = Authority::client(None);
        let shown = || {
            // A client that is new: one that comes again isn't shown the certificate again.
            let tls = Authority::client(None);
            let client = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
            client.tls().peer_certificates().unwrap()[0].to_vec()
        };
        let mut session = Client::connect(FROM, MAY);
        session.start_tls(&tls, NAME).unwrap();
        let first = shown();
        authority.issue("mx", &[NAME], Key::Rsa);
        until("the new certificate", || (shown() != first).then_some(()));
        let second = shown();

        // The key of another.
        authority.issue("other", &[NAME], Key::Rsa);
        authority.put("mx.key", &std::fs::read_to_string("/etc/tls/other.key").unwrap());
        facteur.wait_for_log("belongs to another certificate");
        assert!(facteur.log().contains("the last good version stays"));
        assert_eq!(shown(), second);
        // Resumed sessions too.
        assert_eq!(facteur.run(&["reload"]).code, 1, "what is broken is no reload");
        assert_eq!(shown(), second);
        // Out of date.
        authority.issue_until("mx", &[NAME], Key::Ecdsa, 2021);
        facteur.wait_for_log("mx.pem: the certificate expired on 2021-01-01");
        assert_eq!(shown(), second);
        let check = facteur.run(&["check"]);
        assert!(check.code == 1 && check.err.contains("expired on 2021-01-01"), "{check:?}");
        authority.issue("mx", &[NAME], Key::Ecdsa);
        until("the mended certificate", || (shown() != second).then_some(()));

        // A session goes on whatever is exchanged, and what was resumable still is.
        assert_eq!(session.ehlo().code, 250);
        facteur.run(&["reload"]).success();
        let client = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
        assert_eq!(client.tls().handshake_kind(), Some(rustls::HandshakeKind::Resumed));
        facteur.stop();
    });
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_it_asks_for() {
    machine(|machine| {
        let authority = authority(machine);
        authority.issue("other", &["mx.other.test"], Key::Rsa);
        let _dns = Dns::start("127.0.0.1", "");
        let config = config(machine, &Authority::sections(&["mx", "other"]));
        let _facteur = Facteur::start(machine, &config);
        let tls = Authority::client(None);
        for name in [NAME, "mx.other.test"] {
            // The client looks whether it is for that name.
            let mut client = Client::connect(FROM, MAY);
            client.start_tls(&tls, name).unwrap();
            client.ehlo();
        }
        let mut client = Client::connect(FROM, MAY);
        let error = client.start_tls(&tls, "mx.nobody.test").unwrap_err().to_string();
        assert!(error.contains("not valid for name"), "the first is shown: {error}");
    });
}

/// What comes in place of a handshake, and what the log says of it.
#[test]
fn garbage_in_place_of_a_handshake_ends_the_session_with_a_line_that_says_why() {
    machine(|machine| {
        let _authority = authority(machine);
        let (_dns, mut facteur) = start(machine);
        let garbage: [&[u8]; 9] = [
            b"EHLO client.test\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\0",
            b"",
            // A record that is longer than any may be; an alert; a handshake of no known kind; one
            // that says it has 16 MiB.
            b"\x16\x03\x01\xff\xff",
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"\x16\x03\x01\x00\x04\xfe\x00\x00\x00",
            b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
            // SSL 2.
            b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        ];
        for octets in garbage {
            for by_starttls in [false, true] {
                let mut client = if by_starttls {
                    let mut client = Client::connect(FROM, MAY);
                    client.expect("STARTTLS", 220);
                    client
                } else {
                    Client::silent(FROM, AT_ONCE).unwrap()
                };
                let before = facteur.log().matches("no TLS").count();
                client.write(octets);
                client.end_of_input();
                until("a line about it", || {
                    (facteur.log().matches("no TLS").count() > before).then_some(())
                });
            }
        }
        let log = facteur.log();
        assert!(log.contains("corrupt message") && log.contains("handshake eof"), "{log}");
        // A client that is well is served.
        let tls = Authority::client(None);
        assert!(Client::connect_tls(FROM, AT_ONCE, &tls, NAME).is_ok());
        facteur.stop();
    });
}

#[test]
fn a_handshake_that_stalls_ends_in_time_and_keeps_nobody_out() {
    machine(|machine| {
        let _authority = authority(machine);
        let _dns = Dns::start("127.0.0.1", "");
        let tls =
            format!("[tls]\ntimeout = \"2s\"\nhandshakes = 2\n{}", Authority::sections(&["mx"]));
        let mut facteur = Facteur::start(machine, &config(machine, &tls));
        // All places are taken, by one that says nothing and one that stops in the middle.
        let start = Instant::now();
        let silent = Client::silent(FROM, AT_ONCE).unwrap();
        let mut halfway = Client::connect(FROM, MAY);
        halfway.expect("STARTTLS", 220);
        halfway.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
        // In the clear all goes on, and who gives up makes room.
        let mut plain = Client::connect(FROM, MAY);
        plain.ehlo();
        drop(silent);
        let client = Authority::client(None);
        Client::connect_tls(FROM, AT_ONCE, &client, NAME).unwrap();
        halfway.must_close();
        assert!(start.elapsed() >= Duration::from_secs(2));
        facteur.wait_for_log("not done in time");

        // Nor does one keep the program from stopping.
        let mut silent = TcpStream::connect(AT_ONCE).unwrap();
        silent.write_all(b"\x16").unwrap();
        let stopping = Instant::now();
        facteur.signal(Signal::TERM);
        assert!(facteur.wait().success());
        assert!(stopping.elapsed() < Duration::from_secs(2));
        assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
    });
}

#[test]
fn a_client_that_says_all_at_once_and_then_no_more_is_answered() {
    machine(|machine| {
        let _authority = authority(machine);
        let (_dns, _facteur) = start(machine);
        let tls = Authority::client(None);
        let mut client = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
        client.write(
            b"EHLO x\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<louen@local.test>\r\nDATA\r\n\
              Subject: all at once\r\n\r\n.\r\nQUIT\r\n",
        );
        client.end_of_input();
        let codes: Vec<u16> = (0..6).map(|_| client.reply().code).collect();
        assert_eq!(codes, [250, 250, 250, 354, 250, 221]);
        received("all at once");
    });
}
