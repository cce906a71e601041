//! The dialogue around TLS: the same certificate, the same settings, the same octets to both.

use facteur_tests::machine;

use super::setting::{SETTING, Setting};
use super::*;

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
    ..SETTING
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
    differs: &[differs(
        "HELP",
        "530 5.7.0 Must issue a STARTTLS command first",
        "500 5.5.2 Error: command not recognized",
        "HELP is a command of RFC 5321 that Postfix doesn't know",
    )],
    ..SETTING
};

const ABSENT: Setting = Setting {
    facteur: "tls = \"none\"",
    postfix: "smtpd_tls_security_level = none\n",
    dialogues: &[&["EHLO x", "STARTTLS", "STARTTLS x", "NOOP"]],
    ..SETTING
};

#[test]
fn replies_are_those_of_postfix_where_tls_is_offered() {
    machine(|machine| OFFERED.compare(machine));
}

#[test]
fn replies_are_those_of_postfix_where_tls_is_required() {
    machine(|machine| REQUIRED.compare(machine));
}

#[test]
fn replies_are_those_of_postfix_where_there_is_no_tls() {
    machine(|machine| ABSENT.compare(machine));
}
