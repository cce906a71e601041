//! Who says more before it has an answer; and other settings of the server that the restrictions
//! don't name.

use facteur_tests::machine;

use super::protocol::{Dialogue, Step, compare, raw};
use super::*;

pub(super) const CASES: &[Case] = &[case(
    "reject_unauth_pipelining",
    &[("sender", "reject_unauth_pipelining"), ("data", "reject_unauth_pipelining")],
    &[],
)];

const MAIL: Step = Step("MAIL FROM:<a@known.example>\r\n", 1);
const RCPT: Step = Step("RCPT TO:<louen@local.example>\r\n", 1);
const DATA: Step = Step("DATA\r\n", 1);

const DIALOGUES: &[Dialogue] = &[
    raw(
        "a group as RFC 2920 has it",
        &[
            Step("EHLO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\nRCPT TO:<louen@local.example>\r\nDATA\r\n", 3),
            Step("Subject: x\r\n\r\nx\r\n.\r\n", 1),
            Step("RSET\r\nMAIL FROM:<a@known.example>\r\nRCPT TO:<louen@local.example>\r\n", 3),
            DATA,
        ],
    ),
    raw(
        "more along with EHLO",
        &[Step("EHLO x\r\nMAIL FROM:<a@known.example>\r\n", 2), RCPT, DATA],
    ),
    raw(
        "more along with NOOP",
        &[
            Step("EHLO x\r\n", 1),
            Step("NOOP\r\nNOOP\r\n", 2),
            MAIL,
            RCPT,
            Step("EHLO x\r\n", 1),
            MAIL,
            RCPT,
        ],
    ),
    raw(
        "more along with VRFY",
        &[Step("EHLO x\r\n", 1), Step("VRFY postmaster\r\nRSET\r\n", 2), MAIL, RCPT],
    ),
    raw(
        "more along with RSET",
        &[Step("EHLO x\r\n", 1), Step("RSET\r\nRSET\r\n", 2), MAIL, RCPT, DATA],
    ),
    raw(
        "content before the answer to DATA",
        &[Step("EHLO x\r\n", 1), MAIL, RCPT, Step("DATA\r\nFOO\r\n", 2), RCPT],
    ),
    raw(
        "a group without EHLO",
        &[
            Step("HELO x\r\n", 1),
            Step("MAIL FROM:<a@known.example>\r\nRCPT TO:<louen@local.example>\r\n", 2),
            DATA,
        ],
    ),
    raw(
        "a group without a greeting",
        &[Step("MAIL FROM:<a@known.example>\r\nRCPT TO:<louen@local.example>\r\n", 2), RCPT],
    ),
    raw(
        "a group with a wrong command",
        &[Step("EHLO x\r\n", 1), Step("DATA\r\nMAIL FROM:<a@known.example>\r\n", 2), RCPT],
    ),
    raw("more along with HELO", &[Step("HELO x\r\nNOOP\r\n", 2), MAIL, RCPT, DATA]),
    raw(
        "QUIT along with the end of the content",
        &[Step("EHLO x\r\n", 1), MAIL, RCPT, DATA, Step("x: y\r\n\r\nz\r\n.\r\nQUIT\r\n", 2)],
    ),
    raw("one by one", &[Step("HELO x\r\n", 1), MAIL, RCPT, DATA]),
];

const DIFFERENCES: &[Difference] = &[differs(
    "RCPT TO:<louen@local.example>",
    "250 2.1.5 Ok",
    "503 5.5.0 <a@known.example>: Sender address rejected: Improper use of SMTP command pipelining",
    "a list before RCPT that says nothing of recipients is asked once a transaction, and this \
     client came to be improper later",
)];

#[test]
fn who_does_not_wait_is_refused_as_by_postfix() {
    machine(|machine| compare(machine, CASES[0].differs(DIFFERENCES), DIALOGUES, More::default()));
}

const GREETINGS: &[Dialogue] = &[
    raw("no greeting", &[MAIL, Step("MAIL\r\n", 1), RCPT, DATA, Step("EHLO x\r\n", 1), MAIL, RCPT]),
    raw("HELO", &[Step("RSET\r\n", 1), Step("HELO x\r\n", 1), MAIL, RCPT]),
    raw(
        "a greeting that is none",
        &[Step("HELO\r\n", 1), MAIL, Step("NOOP\r\n", 1), Step("QUIT\r\n", 1)],
    ),
];

#[test]
fn who_does_not_greet_is_refused_as_by_postfix() {
    let more = More {
        listen: "helo-required = true",
        main: "smtpd_helo_required = yes\n",
        ..More::default()
    };
    machine(|machine| compare(machine, case("helo required", &[], &[]), GREETINGS, more));
}

/// Senders and recipients of every class, where tables know the users of other servers too.
const UNLISTED: &[Case] = &[
    case(
        "recipients of other servers",
        &[],
        &[
            "RCPT TO:<x@relay.example>",
            "RCPT TO:<X+tag@relay.example>",
            "RCPT TO:<nobody@relay.example>",
            "RCPT TO:<anybody@sub.relay.example>",
            "RCPT TO:<nobody@other.relay.example>",
            "RCPT TO:<louen@relay.example>",
            "RCPT TO:<alias@relay.example>",
            "RCPT TO:<x%known.example@relay.example>",
        ],
    ),
    case(
        "senders, whatever the list permits",
        &[("sender", "permit")],
        &["RCPT TO:<louen@local.example>"],
    )
    .each(FROM),
    case("senders without a list", &[], &["RCPT TO:<louen@local.example>"]).each(FROM),
    case(
        "a sender who is refused anyway",
        &[("sender", "reject")],
        &["RCPT TO:<louen@local.example>"],
    )
    .each(FROM),
];

const FROM: &[&str] = &[
    "MAIL FROM:<>",
    "MAIL FROM:<louen@local.example>",
    "MAIL FROM:<nobody@local.example>",
    "MAIL FROM:<postmaster@local.example>",
    "MAIL FROM:<known@alias.example>",
    "MAIL FROM:<nobody@alias.example>",
    "MAIL FROM:<box@mailbox.example>",
    "MAIL FROM:<nobody@mailbox.example>",
    "MAIL FROM:<x@relay.example>",
    "MAIL FROM:<nobody@relay.example>",
    "MAIL FROM:<nobody@known.example>",
    "MAIL FROM:<nobody>",
];

const TABLES: &[Table] = &[Table {
    name: "relayed",
    format: "texthash",
    text: "x@relay.example x\n@sub.relay.example x\n",
}];

#[test]
fn who_is_not_listed_is_refused_as_by_postfix() {
    let more = More {
        listen: "limits = { errors = 1000 }",
        domains: "delimiter = \"+\"",
        mailboxes: "relay-users = \"table:relayed\"",
        settings: "reject-unlisted-sender = true",
        main: "smtpd_hard_error_limit = 1000\nrecipient_delimiter = +\n\
               smtpd_reject_unlisted_sender = yes\n\
               relay_recipient_maps = texthash:/etc/tables/relayed\n",
        ..More::default()
    };
    machine(|machine| {
        let servers = Servers::start(machine, UNLISTED, TABLES, &DISCARD, more);
        let mut problems = Vec::new();
        for (number, case) in UNLISTED.iter().enumerate() {
            case.compare(FIRST_PORT + number, &mut problems);
        }
        assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
        drop(servers);
    });
}
