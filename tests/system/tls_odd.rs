//! TLS as odd clients have it: on the wrong port, begun anew, cut off, with certificates of their
//! own that nobody vouches for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use facteur_tests::{
    Authority, Client, Dns, Facteur, Gateway, Key, Machine, letter, machine, maildir, output_of,
    until,
};

const MAY: &str = "127.0.0.1:25";
const AT_ONCE: &str = "127.0.0.1:465";
const NAME: &str = "mx.local.test";
const FROM: &str = "127.0.0.1";

fn start(machine: &Machine) -> (Dns, Facteur) {
    Authority::new(machine).issue("mx", &[NAME, "127.0.0.1"], Key::Ecdsa);
    let dns = Dns::start("127.0.0.1", "");
    let more = format!(
        "{}[[listen]]\naddress = \"{AT_ONCE}\"\ntls = \"implicit\"\nask-client-cert = true\n",
        Authority::sections(&["mx"])
    );
    let config = Gateway { more: &more, ..Gateway::default() }.write(machine, "tls");
    (dns, Facteur::start(machine, &config))
}

#[test]
fn starttls_has_no_arguments_and_blanks_are_none() {
    machine(|machine| {
        let (_dns, _facteur) = start(machine);
        let tls = Authority::client(None);
        for (command, code) in [
            ("STARTTLS x", 501),
            ("STARTTLS =", 501),
            ("STARTTLS  ", 220),
            (" starttls", 220),
            ("StartTLS\t", 220),
            ("STARTTLS\r", 220),
        ] {
            let mut client = Client::connect(FROM, MAY);
            client.expect(command, code);
            if code == 220 {
                client.secure(&tls, NAME).unwrap();
            }
            client.ehlo();
        }
    });
}

/// A client that begins TLS where it must ask first hears at once that this is no SMTP.
#[test]
fn tls_on_a_plain_port_ends_at_once() {
    machine(|machine| {
        let (_dns, facteur) = start(machine);
        let to = ["s_client", "-connect", MAY];
        let output = output_of(Command::new("openssl").args(to));
        assert!(output.code != 0 && output.err.contains("wrong version number"), "{output:?}");
        // What it sends has octets that no command has, and ends no line: it waits no longer than
        // any command may.
        let mut client = Client::connect(FROM, MAY);
        client.write(b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03\r\n");
        assert_eq!(client.reply().code, 500);
        client.expect("QUIT", 221);
        drop(facteur);
    });
}

/// TLS 1.2 can be begun anew within a connection, which attackers use and nobody needs.
#[test]
fn tls_is_not_begun_anew() {
    machine(|machine| {
        let (_dns, facteur) = start(machine);
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", AT_ONCE, "-tls1_2", "-crlf"]);
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut openssl = openssl.spawn().expect("openssl is there");
        let mut stdin = openssl.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(openssl.stdout.take().expect("it is piped")).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("220 ")), "it is greeted");
        // "R" is a command to itself.
        stdin.write_all(b"R\n").expect("it reads");
        let output = openssl.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("no renegotiation"), "{told}");
        let tls = Authority::client(None);
        assert!(Client::connect_tls(FROM, AT_ONCE, &tls, NAME).is_ok());
        drop(facteur);
    });
}

/// The end of TLS may be said or not, after a message or in the middle of one: what was taken
/// stays, what is half there is nothing, and none of it is an error of ours.
#[test]
fn a_connection_that_ends_without_a_word_takes_nothing_with_it() {
    machine(|machine| {
        let (_dns, facteur) = start(machine);
        let tls = Authority::client(None);
        let mut whole = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
        whole.ehlo();
        whole.deliver("a@sender.test", &["louen@local.test"], &letter("whole"));
        whole.end_of_input();
        whole.must_close();
        let mut half = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
        half.ehlo();
        half.envelope("a@sender.test", &["louen@local.test"]);
        half.write(b"Subject: half\r\n\r\nthe end is missing\r\n");
        half.end_of_input();
        half.must_close();
        let mut dot = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
        dot.ehlo();
        dot.envelope("a@sender.test", &["louen@local.test"]);
        dot.write(b"Subject: half\r\n\r\nx\r\n.\r");
        drop(dot);
        let mails = maildir("/var/mail/louen", 1);
        assert_eq!(mails[0].header("Subject").unwrap(), "whole");
        facteur.wait_until_empty();
        let log = facteur.log();
        assert!(!log.contains("ERROR") && !log.contains("connection lost"), "{log}");
    });
}

/// A certificate that nobody vouches for is as good as none: it keeps nobody out, and says nothing
/// of whose it is.
#[test]
fn certificates_of_clients_that_are_worth_nothing_keep_nobody_out() {
    machine(|machine| {
        let (_dns, mut facteur) = start(machine);
        // The server's authority is none for clients; this one is another's, and this one expired.
        let authority = Authority::new(machine);
        authority.issue("mx", &[NAME, "127.0.0.1"], Key::Ecdsa);
        authority.issue("other", &["client.test"], Key::Ecdsa);
        authority.issue_until("expired", &["client.test"], Key::Rsa, 2021);
        output_of(Command::new("openssl").args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=self",
            "-keyout",
            "/etc/tls/self.key",
            "-out",
            "/etc/tls/self.pem",
        ]))
        .success();
        until("the new certificate", || {
            Client::connect_tls(FROM, AT_ONCE, &Authority::client(None), NAME).ok()
        });
        for own in ["other", "expired", "self"] {
            let tls = Authority::client(Some(own));
            let mut client = Client::connect_tls(FROM, AT_ONCE, &tls, NAME).unwrap();
            client.ehlo();
            client.deliver("a@sender.test", &["louen@local.test"], &letter(own));
        }
        for mail in maildir("/var/mail/louen", 3) {
            let received = mail.header("Received").unwrap();
            assert!(received.contains("(not verified)"), "{received}");
        }
        facteur.stop();
    });
}
