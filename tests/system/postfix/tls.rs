//! The dialogue around TLS: the same certificate, the same settings, the same octets to both.

use facteur_tests::{Authority, Key, machine};

use super::*;

/// Said in a dialogue: the handshake, after a positive reply to STARTTLS.
const HANDSHAKE: &str = "(handshake)";
const NAME: &str = "mail.example.net";

/// How the two are set up, and what is said to them.
struct Setting {
    facteur: &'static str,
    postfix: &'static str,
    dialogues: &'static [&'static [&'static str]],
    differs: &'static [Difference],
}

const MAIL: &[&str] =
    &["EHLO x", "MAIL FROM:<a@known.example>", "RCPT TO:<louen@local.example>", "DATA", "RSET"];

const OFFERED: Setting = Setting {
    facteur: "tls = \"may\"",
    postfix: "smtpd_tls_security_level = may\n",
    dialogues: &[
        MAIL,
        &["STARTTLS", HANDSHAKE, "STARTTLS", "EHLO x", "STARTTLS", "STARTTLS x", "NOOP", "QUIT"],
        &["EHLO x", "STARTTLS now", "STARTTLS  ", HANDSHAKE, "EHLO x", "NOOP"],
        &["HELO x", "starttls", HANDSHAKE, "HELO x", "MAIL FROM:<a@known.example>"],
        &[
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
            "STARTTLS",
            HANDSHAKE,
            "DATA",
            "RCPT TO:<louen@local.example>",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
            "RSET",
        ],
    ],
    differs: &[],
};

const REQUIRED: Setting = Setting {
    facteur: "tls = \"encrypt\"",
    postfix: "smtpd_tls_security_level = encrypt\n",
    dialogues: &[
        MAIL,
        &[
            "HELO x",
            "EHLO x",
            "NOOP",
            "RSET",
            "VRFY x",
            "AUTH PLAIN x",
            "FOO",
            "MAIL",
            "RCPT",
            "DATA now",
            "BDAT x",
            "HELP",
            "EHLO",
            "STARTTLS x",
            "STARTTLS",
            HANDSHAKE,
            "RSET",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
            "RSET",
            "QUIT",
        ],
        &["QUIT"],
    ],
    differs: &[],
};

const ABSENT: Setting = Setting {
    facteur: "tls = \"none\"",
    postfix: "smtpd_tls_security_level = none\n",
    dialogues: &[&["EHLO x", "STARTTLS", "STARTTLS x", "NOOP"]],
    differs: &[],
};

fn play(server: &str, dialogue: &[&str]) -> Vec<(String, String)> {
    let mut client = Client::connect(STRANGER, &format!("{server}:{FIRST_PORT}"));
    let mut told = Vec::new();
    for command in dialogue {
        if *command == HANDSHAKE {
            client.secure(&Authority::client(None), NAME).unwrap();
            continue;
        }
        let sent = client.try_write(format!("{command}\r\n").as_bytes());
        let Ok(reply) = sent.and_then(|()| client.try_reply()) else {
            told.push(((*command).to_owned(), CLOSED.to_owned()));
            break;
        };
        let text = if command.starts_with("EHLO") && reply.code == 250 {
            // What is offered changes with TLS.
            let offered = reply.text.lines().any(|line| line == "STARTTLS");
            format!("250 with STARTTLS: {offered}")
        } else {
            comparable(command, &reply)
        };
        told.push(((*command).to_owned(), completed(text)));
        if reply.code == 354 {
            told.push((
                ".".to_owned(),
                comparable(".", &client.content(b"Subject: x\r\n\r\nx\r\n")),
            ));
        }
    }
    told
}

fn compare(machine: &Machine, setting: &Setting) {
    const CASE: Case = case("tls", &[], &[]);
    Authority::new(machine).issue("mx", &[NAME], Key::Ecdsa);
    let listen = format!("{}\n{}", setting.facteur, Authority::sections(&["mx"]));
    let main =
        format!("{}smtpd_tls_chain_files = /etc/tls/mx.key, /etc/tls/mx.pem\n", setting.postfix);
    let servers = Servers::start(machine, &[CASE], &[], &DISCARD, (&listen, &main));
    let judge = CASE.differs(setting.differs);
    let (mut problems, mut seen) = (Vec::new(), vec![false; setting.differs.len()]);
    for dialogue in setting.dialogues {
        let (ours, theirs) = (play(FACTEUR, dialogue), play(POSTFIX, dialogue));
        judge.judge(STRANGER, &ours, &theirs, &mut seen, &mut problems);
    }
    judge.all_seen(&seen, &mut problems);
    assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
    drop(servers);
}

#[test]
fn replies_are_those_of_postfix_where_tls_is_offered() {
    machine(|machine| compare(machine, &OFFERED));
}

#[test]
fn replies_are_those_of_postfix_where_tls_is_required() {
    machine(|machine| compare(machine, &REQUIRED));
}

#[test]
fn replies_are_those_of_postfix_where_there_is_no_tls() {
    machine(|machine| compare(machine, &ABSENT));
}
