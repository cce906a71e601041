//! Dovecot as the one who knows the users: facteur asks it as Postfix does, and both say the same.

use facteur_tests::{
    Client, DOVECOT_SOCKET, Dns, Dovecot, Facteur, Machine, Postfix, Reply, machine,
};

use crate::submission::base64;

const FACTEUR: &str = "192.0.2.1:25";
const POSTFIX: &str = "192.0.2.2:25";
const FROM: &str = "203.0.113.25";
const ADDRESSES: [&str; 3] = ["192.0.2.1", "192.0.2.2", FROM];
const USERS: &str = "louen:{PLAIN}sesame\nann:{SCRAM-SHA-256}4096,c2FsdHNhbHRzYWx0c2FsdA==,\
                     jLGK0jo09vcWEr1zVaEQgMNSmYL4LwOU+GtLGPoW7PY=,\
                     QBsTkA4W24SpKigPuJRW7H9JV8r8xlumx0R+b3oTLXE=\n";
/// `\0louen\0sesame` and `\0louen\0wrong`.
const RIGHT: &str = "AGxvdWVuAHNlc2FtZQ==";
const WRONG: &str = "AGxvdWVuAHdyb25n";

fn facteur(machine: &Machine, auth: &str) -> Facteur {
    let config = format!(
        r#"
hostname = "mail.example.net"
[[listen]]
address = "{FACTEUR}"
auth = true
[auth]
dovecot = "{DOVECOT_SOCKET}"
failure-delay = "0s"
{auth}
[domains]
local = ["example.net"]
[dns]
servers = ["127.0.0.1"]
[mailboxes]
users = "table:boxes"
owner = "louen"
[spool]
path = "/var/spool/facteur"
[tables.boxes]
inline = {{ louen = "" }}
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
settings = {{ recipient = ["permit_sasl_authenticated", "reject_unauth_destination"] }}
grants = {{ relay = true }}
"#
    );
    Facteur::start(machine, &machine.write("/etc/facteur/facteur.toml", &config))
}

/// What a server says to these lines, one after the other.
fn said(server: &str, lines: &[&str]) -> Vec<Reply> {
    let mut client = Client::connect(FROM, server);
    lines.iter().map(|line| client.send(line)).collect()
}

fn postfix(machine: &Machine) -> Postfix {
    let main = format!(
        "myhostname = mail.example.net\nmydestination = example.net\n\
         smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n\
         smtpd_sasl_path = {DOVECOT_SOCKET}\nsmtpd_error_sleep_time = 0\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n\
         local_recipient_maps =\n"
    );
    Postfix::start(machine, "postfix", POSTFIX, &main, "")
}

#[test]
fn what_is_said_about_auth_is_what_postfix_says() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let _dovecot = Dovecot::start(machine, "plain login scram-sha-256", USERS);
        let postfix = postfix(machine);
        let facteur = facteur(machine, "tls-only = false");
        let offered = |server| {
            let hello = said(server, &["EHLO x"]).remove(0);
            hello.text.lines().find(|line| line.starts_with("AUTH ")).map(str::to_owned)
        };
        assert_eq!(offered(FACTEUR), offered(POSTFIX));
        assert_eq!(offered(FACTEUR).as_deref(), Some("AUTH PLAIN LOGIN SCRAM-SHA-256"));
        let long = format!("{}=", "A".repeat(12_300));
        let plain = format!("AUTH PLAIN {RIGHT}");
        let plain = plain.as_str();
        let wrong = format!("AUTH PLAIN {WRONG}");
        let wrong = wrong.as_str();
        let none = "";
        // A dialogue, and how the answers to its last line differ: what we say, and what Postfix
        // says, which tells what Dovecot told it.
        for (lines, ours, theirs) in [
            (
                &["EHLO x", plain, "MAIL FROM:<a@b.test>", "RCPT TO:<x@elsewhere.test>"][..],
                none,
                none,
            ),
            (&["EHLO x", plain, plain], none, none),
            (
                &["EHLO x", wrong],
                "535 5.7.8 Error: authentication failed",
                "535 5.7.8 Error: authentication failed: (reason unavailable)",
            ),
            (&["EHLO x", "AUTH"], none, none),
            (&["EHLO x", "AUTH PLAIN a b"], none, none),
            (&["EHLO x", "AUTH LOGIN", "bG91ZW4=", "c2VzYW1l"], none, none),
            (&["EHLO x", "AUTH LOGIN bG91ZW4=", "c2VzYW1l"], none, none),
            (&["EHLO x", "auth plain", RIGHT], none, none),
            (&["EHLO x", "AUTH PLAIN", "*"], none, none),
            (&["EHLO x", "AUTH PLAIN", "*", plain], none, none),
            (&["EHLO x", "AUTH PLAIN", &long], none, none),
            // The empty message is one that PLAIN doesn't take; Postfix passes the sign on.
            (
                &["EHLO x", "AUTH PLAIN ="],
                "334 ",
                "535 5.7.8 Error: authentication failed: (reason unavailable)",
            ),
            (
                &["EHLO x", "AUTH PLAIN !"],
                "501 5.5.2 Error: no valid base64",
                "535 5.7.8 Error: authentication failed: Invalid base64 data in initial response",
            ),
            (
                &["EHLO x", "AUTH PLAIN", "!"],
                "501 5.5.2 Error: no valid base64",
                "535 5.7.8 Error: authentication failed: Invalid base64 data in continued response",
            ),
            (
                &["EHLO x", "AUTH CRAM-MD5"],
                "504 5.5.4 Error: authentication mechanism not supported",
                "535 5.7.8 Error: authentication failed: Invalid authentication mechanism",
            ),
            (&["EHLO x", "MAIL FROM:<a@b.test>", plain], none, none),
            (&["HELO x", plain], none, none),
            (
                &[plain],
                "503 5.5.1 Error: send HELO/EHLO first",
                "235 2.7.0 Authentication successful",
            ),
            (&["EHLO x", "MAIL FROM:<a@b.test> AUTH=<>"], none, none),
            (&["EHLO x", "MAIL FROM:<a@b.test> AUTH=a@b.test"], none, none),
            (&["EHLO x", plain, "MAIL FROM:<a@b.test> AUTH=a@b.test"], none, none),
        ] {
            let (our, their) = (said(FACTEUR, lines), said(POSTFIX, lines));
            let (our_last, their_last) = (our.last().unwrap(), their.last().unwrap());
            if ours == none {
                assert_eq!(our_last, their_last, "{lines:?}");
            } else {
                assert!(
                    *our_last == ours && *their_last == theirs,
                    "{lines:?}: {our_last} | {their_last}"
                );
            }
            let greeting = usize::from(lines[0].starts_with("EHLO"));
            let before = greeting..lines.len() - 1;
            assert_eq!(our.get(before.clone()), their.get(before), "{lines:?}");
        }
        facteur.wait_for_log("SASL PLAIN authentication failed: ");
        drop(postfix);
    });
}

/// Where Dovecot judges, odd logins end as they do with Postfix, whatever the words.
#[test]
fn odd_logins_end_as_with_postfix() {
    machine(|machine| {
        machine.addresses(&ADDRESSES);
        let _dns = Dns::start("127.0.0.1", "");
        let _dovecot = Dovecot::start(machine, "plain login scram-sha-256", USERS);
        let _postfix = postfix(machine);
        let _facteur = facteur(machine, "tls-only = false");
        let plain = |text: &str| format!("AUTH PLAIN {}", base64(text));
        let long = "A".repeat(12_000);
        let name = base64("louen");
        for lines in [
            &[&*format!("AUTH  PLAIN  {RIGHT}")][..],
            &[&*format!("AUTH PLAIN {RIGHT} ")],
            &[&*format!("AUTH PLAIN {RIGHT}\r")],
            &["AUTH PLAIN", &*format!("{RIGHT}\r")],
            &[&*plain("louen|louen|sesame")],
            &[&*plain("ann|louen|sesame")],
            &[&*plain("|LOUEN|sesame")],
            &[&*plain("|louen|sesame|")],
            &[&*plain("|louen|")],
            &[&*plain("||sesame")],
            &[&*plain("louen|sesame")],
            &[&*plain("|louen\n|sesame")],
            &[&*plain(&format!("|{}|x", "u".repeat(500)))],
            &[&*plain(&format!("|louen|{}", "p".repeat(2_000)))],
            &["AUTH PLAIN", "", "NOOP"],
            &["AUTH PLAIN", &long],
            &["AUTH LOGIN", &name, ""],
            &["AUTH LOGIN", &name, "*", "NOOP"],
            &["AUTH LOGIN", "*", &*format!("AUTH PLAIN {RIGHT}")],
            &["AUTH LOGIN", "AUTH", "QUIT"],
            &["AUTH SCRAM-SHA-256", ""],
            &["AUTH SCRAM-SHA-256 biwsbj1hbm4scj1hYmM=", "*"],
            &["AUTH SCRAM-SHA-256 biwsbj1hbm4scj1hYmM=", "Yz1iaXdz"],
            &["AUTH SCRAM-SHA-256 eSwsbj1hbm4scj1hYmM=", "*"],
            &["AUTH SCRAM-SHA-256 cD10bHMtZXhwb3J0ZXIsLG49YW5uLHI9YWJj"],
            &["AUTH SCRAM-SHA-256 biwsbj1ub2JvZHkscj1hYmM=", "*"],
        ] {
            let lines = [&["EHLO x"], lines].concat();
            let codes = |server| -> Vec<_> {
                said(server, &lines).into_iter().skip(1).map(|reply| reply.code).collect()
            };
            let shown: Vec<_> = lines.iter().map(|line| &line[..line.len().min(80)]).collect();
            assert_eq!(codes(FACTEUR), codes(POSTFIX), "{shown:?}");
        }
    });
}
