//! Who speaks for others, and what is offered to whom: XCLIENT, XFORWARD, discarded keywords, VRFY.

use facteur_tests::machine;

use super::setting::{SETTING, Setting};
use super::*;

const NAMES_BY_DNS: &str = "Postfix keeps the speaker's own name for an address that came without \
 one; facteur asks the DNS for the address's";
const LOGINS: &str = "a login that the speaker saw counts wherever; in Postfix \
 permit_sasl_authenticated counts it where AUTH is on";

/// Whom the trusted network may speak for.
const SPEAKERS: Setting = Setting {
    facteur: "limits = { errors = 100 }\ntls = \"may\"\n\
              xclient = [\"198.51.100.0/24\"]\nxforward = [\"198.51.100.0/24\"]",
    postfix: "smtpd_authorized_xclient_hosts = 198.51.100.0/24\n\
              smtpd_authorized_xforward_hosts = 198.51.100.0/24\n\
              smtpd_tls_security_level = may\n\
              smtpd_hard_error_limit = 100\n",
    lists: &[
        ("relay", "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"),
        ("recipient", "permit_mynetworks, reject_unknown_client_hostname"),
    ],
    clients: &[TRUSTED, STRANGER],
    ..SETTING
};

/// From a speaker, and from one who isn't.
const XCLIENT: Setting = Setting {
    dialogues: &[
        // The client that is named counts for everything, and can't speak for others.
        &[
            "EHLO proxy.example",
            "XCLIENT NAME=stranger.example.net ADDR=203.0.113.25",
            "EHLO client.example",
            "XCLIENT ADDR=198.51.100.10",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<a@known.example>",
            "RCPT TO:<louen@local.example>",
            "DATA",
            "QUIT",
        ],
        &[
            "XCLIENT NAME=[UNAVAILABLE] ADDR=203.0.113.26",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
        ],
        &[
            "XCLIENT NAME=[TEMPUNAVAIL] ADDR=203.0.113.26",
            "HELO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
        ],
        &[
            "XCLIENT name=[unavailable] REVERSE_NAME=liar.example.net ADDR=203.0.113.27",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
        ],
        &[
            "XCLIENT ADDR=203.0.113.26",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
        ],
        &[
            "XCLIENT ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE] PORT=[UNAVAILABLE] HELO=[UNAVAILABLE]",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<a@known.example>",
        ],
        &[
            "XCLIENT ADDR=IPV6:2001:db8::1 NAME=six.example",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
            "RCPT TO:<a@known.example>",
        ],
        // A login that the speaker saw.
        &[
            "XCLIENT ADDR=203.0.113.25 NAME=stranger.example.net LOGIN=louen@local.example",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<a@known.example>",
        ],
        &[
            "XCLIENT ADDR=203.0.113.25 NAME=stranger.example.net LOGIN=[UNAVAILABLE]",
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<a@known.example>",
        ],
        // The session starts over: a greeting is needed again, or came with it.
        &[
            "EHLO x",
            "XCLIENT HELO=client.example PROTO=ESMTP DESTADDR=192.0.2.1 DESTPORT=25",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
            "XCLIENT NAME=stranger.example.net",
            "XFORWARD NAME=stranger.example.net",
            "RSET",
            "XCLIENT NAME=stranger.example.net",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<louen@local.example>",
        ],
        &[
            "XCLIENT",
            "XCLIENT ",
            "XCLIENT ADDR",
            "XCLIENT ADDR=",
            "XCLIENT =x",
            "XCLIENT FOO=x",
            "XCLIENT NAME=a..b",
            "XCLIENT NAME=1.2.3.4",
            "XCLIENT NAME=-a.example",
            "XCLIENT NAME=a+0D+0Ab.example",
            "XCLIENT REVERSE_NAME=a+20b",
            "XCLIENT ADDR=203.0.113.300",
            "XCLIENT ADDR=2001:db8::1",
            "XCLIENT ADDR=IPV6:203.0.113.25",
            "XCLIENT ADDR=[203.0.113.25]",
            "XCLIENT PORT=x",
            "XCLIENT PORT=-1",
            "XCLIENT PORT=123456",
            "XCLIENT PROTO=LMTP",
            "XCLIENT PROTO=[UNAVAILABLE]",
            "XCLIENT DESTADDR=x",
            "XCLIENT DESTPORT=x",
            "NOOP",
        ],
        // TLS was the speaker's, and stays.
        &[
            "STARTTLS",
            HANDSHAKE,
            "XCLIENT ADDR=203.0.113.25 NAME=stranger.example.net",
            "EHLO x",
            "STARTTLS",
        ],
        &[
            "XCLIENT ADDR=203.0.113.25 NAME=stranger.example.net",
            "EHLO x",
            "STARTTLS",
            HANDSHAKE,
            "EHLO x",
            "MAIL FROM:<a@known.example>",
            "RCPT TO:<a@known.example>",
        ],
    ],
    differs: &[
        differs(
            "RCPT TO:<louen@local.example>",
            "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.26]",
            "250 2.1.5 Ok",
            NAMES_BY_DNS,
        )
        .only_to(TRUSTED),
        differs(
            "RCPT TO:<a@known.example>",
            "250 2.1.5 Ok",
            "554 5.7.1 <a@known.example>: Relay access denied",
            LOGINS,
        )
        .only_to(TRUSTED),
    ],
    ..SPEAKERS
};

const XFORWARD: Setting = Setting {
    dialogues: &[
        &[
            "EHLO x",
            "XFORWARD NAME=spike.example ADDR=203.0.113.25 PORT=4711",
            "XFORWARD PROTO=ESMTP HELO=spike.example IDENT=4F+28x+29 SOURCE=REMOTE",
            "XFORWARD SOURCE=[UNAVAILABLE] NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]",
            "XFORWARD PORT=[UNAVAILABLE]",
            "MAIL FROM:<a@known.example>",
            "XFORWARD NAME=spike.example",
            "RCPT TO:<louen@local.example>",
            "DATA",
            "QUIT",
        ],
        &[
            "XFORWARD",
            "XFORWARD NAME",
            "XFORWARD NAME=",
            "XFORWARD NAME=a<b",
            "XFORWARD ADDR=x",
            "XFORWARD ADDR=a+0Ab",
            "XFORWARD PORT=x",
            "XFORWARD PORT=1234567",
            "XFORWARD SOURCE=elsewhere",
            "XFORWARD LOGIN=x",
            "XFORWARD HELO=+ IDENT=+0",
            "XFORWARD PROTO=0123456789012345678901234567890123456789012345678901234567890123",
            "XFORWARD PROTO=01234567890123456789012345678901234567890123456789012345678901234",
            "NOOP",
        ],
    ],
    ..SPEAKERS
};

/// Both tell by the client's address what it isn't offered.
const DISCARDED: Setting = Setting {
    facteur: "tls = \"may\"\n\
              discard-ehlo-keywords = [\"silent-discard\", \"8bitmime\", \"pipelining\",\
              \"etrn\"]\n\
              discard-ehlo-keyword-addresses = \"offers\"",
    postfix: "smtpd_tls_security_level = may\n\
              smtpd_discard_ehlo_keywords = silent-discard, 8bitmime pipelining, etrn\n\
              smtpd_discard_ehlo_keyword_address_maps = cidr:/etc/tables/offers\n",
    tables: &[Table {
        name: "offers",
        format: "cidr",
        text: "198.51.100.0/24 chunking, DSN starttls,size vrfy enhancedstatuscodes unheard-of\n\
               203.0.113.26 silent-discard\n",
    }],
    clients: &[TRUSTED, STRANGER, NAMELESS],
    dialogues: &[
        &["EHLO x", "STARTTLS"],
        &["EHLO x", "BDAT 0 LAST", "NOOP"],
        &[
            "EHLO x",
            "MAIL FROM:<a@known.example> RET=HDRS",
            "RSET",
            "MAIL FROM:<a@known.example> ENVID=x",
            "RSET",
            "MAIL FROM:<a@known.example> SIZE=7 BODY=8BITMIME",
            "RCPT TO:<louen@local.example> NOTIFY=NEVER",
            "RCPT TO:<louen@local.example> ORCPT=rfc822;x@known.example",
            "RCPT TO:<louen@local.example>",
            "RSET",
            "VRFY louen@local.example",
        ],
    ],
    ..SETTING
};

const NO_VRFY: Setting = Setting {
    facteur: "tls = \"none\"\ndisable-vrfy = true",
    postfix: "disable_vrfy_command = yes\n",
    dialogues: &[&["EHLO x", "VRFY louen@local.example", "VRFY", "NOOP"]],
    ..SETTING
};

#[test]
fn who_speaks_for_others_by_xclient_is_answered_as_by_postfix() {
    machine(|machine| XCLIENT.compare(machine));
}

#[test]
fn who_forwards_by_xforward_is_answered_as_by_postfix() {
    machine(|machine| XFORWARD.compare(machine));
}

#[test]
fn what_is_discarded_is_answered_as_by_postfix() {
    machine(|machine| DISCARDED.compare(machine));
}

#[test]
fn vrfy_can_be_disabled_as_in_postfix() {
    machine(|machine| NO_VRFY.compare(machine));
}
