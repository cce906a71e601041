//! The restrictions that go by what a client proved: by its certificate, by its login.

use std::fmt::Write as _;
use std::process::Command;

use facteur_tests::{DOVECOT_SOCKET, Dovecot, Key, machine, output_of};

use super::*;

const ONE: &str = "RCPT TO:<louen@local.example>";
const ELSEWHERE: &str = "RCPT TO:<x@known.example>";
const UNKNOWN: &str = "RCPT TO:<nobody@local.example>";

/// No list of its own guards `relay` here.
const OPEN: (&str, &str) = ("relay", "");

/// A stranger's.
const fn case(
    name: &'static str,
    lists: &'static [(&'static str, &'static str)],
    say: &'static [&'static str],
) -> Case {
    super::case(name, lists, say).from(&[STRANGER])
}

pub(super) const CASES: &[Case] = &[
    case(
        "permit_tls_clientcerts",
        &[OPEN, ("recipient", "permit_tls_clientcerts, reject_unauth_destination")],
        &[ONE, ELSEWHERE, UNKNOWN],
    ),
    case(
        "permit_tls_all_clientcerts",
        &[OPEN, ("recipient", "permit_tls_all_clientcerts, reject_unauth_destination")],
        &[ONE, ELSEWHERE, UNKNOWN],
    ),
    case(
        "a certificate for all of the lists",
        &[
            ("client", "permit_tls_clientcerts, reject"),
            ("relay", "permit_tls_clientcerts, reject"),
        ],
        &[ONE, ELSEWHERE],
    ),
    case(
        "check_ccert_access",
        &[OPEN, ("recipient", "check_ccert_access table:certs, reject_unauth_destination")],
        &[ONE, ELSEWHERE],
    ),
    case("check_ccert_access in client", &[("client", "check_ccert_access table:certs")], &[ONE]),
    case(
        "check_ccert_access of patterns",
        &[("sender", "check_ccert_access table:prints")],
        &[ONE, ELSEWHERE],
    ),
    case(
        "permit_sasl_authenticated",
        &[OPEN, ("recipient", "permit_sasl_authenticated, reject_unauth_destination")],
        &[ONE, ELSEWHERE, UNKNOWN],
    ),
    case(
        "reject_sender_login_mismatch",
        &[("sender", "reject_sender_login_mismatch")],
        &[ONE, ELSEWHERE],
    )
    .each(SENDERS),
    // What cron and its like send in the name of somebody.
    case(
        "a mismatch of this machine's own programs",
        &[("sender", "permit_mynetworks, reject_sender_login_mismatch")],
        &[ONE],
    )
    .from(BOTH)
    .each(SENDERS),
    case(
        "reject_known_sender_login_mismatch",
        &[("sender", "reject_known_sender_login_mismatch")],
        &[ONE],
    )
    .each(SENDERS),
    case(
        "reject_authenticated_sender_login_mismatch",
        &[("sender", "reject_authenticated_sender_login_mismatch")],
        &[ONE],
    )
    .each(SENDERS),
    case(
        "reject_unauthenticated_sender_login_mismatch",
        &[("recipient", "reject_unauthenticated_sender_login_mismatch")],
        &[ONE],
    )
    .each(SENDERS),
    case(
        "a warning of a mismatch",
        &[("sender", "warn_if_reject reject_sender_login_mismatch, permit")],
        &[ONE],
    )
    .each(SENDERS),
    case(
        "check_sasl_access",
        &[OPEN, ("recipient", "check_sasl_access table:logins, reject_unauth_destination")],
        &[ONE, ELSEWHERE],
    ),
    case(
        "restrictions that a table names",
        &[("sender", "check_sasl_access table:classes")],
        &[ONE],
    )
    .each(SENDERS),
    case(
        "users, and nobody else",
        &[
            ("client", "permit_sasl_authenticated, permit_tls_clientcerts, reject"),
            ("relay", "permit_sasl_authenticated, reject"),
        ],
        &[ONE, ELSEWHERE],
    ),
];

const SENDERS: &[&str] = &[
    "MAIL FROM:<>",
    "MAIL FROM:<louen@local.example>",
    "MAIL FROM:<Louen@LOCAL.example>",
    "MAIL FROM:<louen+tag@local.example>",
    "MAIL FROM:<louen>",
    "MAIL FROM:<ann@local.example>",
    "MAIL FROM:<team@known.example>",
    "MAIL FROM:<louen@known.example>",
    "MAIL FROM:<anybody@ann.example>",
    "MAIL FROM:<exception@ann.example>",
    "MAIL FROM:<box@mailbox.example>",
    "MAIL FROM:<nobody@elsewhere.example>",
    "MAIL FROM:<\"louen@local.example\"@known.example>",
    "MAIL FROM:<empty@known.example>",
    "MAIL FROM:<ann@own.example>",
    "MAIL FROM:<ann+tag@own.example>",
    "MAIL FROM:<Ann@Own.Example>",
];

/// Whom an address belongs to. The name alone counts where the domain is this machine's.
const OWNERS: &str = "\
louen louen
ann@local.example ann
team@known.example louen, Ann
@ann.example ann
exception@ann.example box@mailbox.example\tlouen
box@mailbox.example box@mailbox.example
empty@known.example ,
";

/// Everybody owns what bears their name there.
const BY_NAME: &str = "/^([^@]*)@own\\.example$/ $1\n";

const LOGINS: &str = "\
louen OK
ann REJECT not you
box@mailbox.example 450 4.7.1 later
";

const CLASSES: &str = "\
louen reject_sender_login_mismatch
ann permit_sasl_authenticated, reject
";

/// How a client proves who it is: not at all; by certificates that the table knows, that it knows
/// by their key, that it doesn't, and that are out of date; by logins, one of them under TLS.
const PROOFS: &[&[&str]] = &[
    &[],
    &["STARTTLS", HANDSHAKE, "EHLO x"],
    &["STARTTLS", "(handshake) listed", "EHLO x"],
    &["STARTTLS", "(handshake) by-key", "EHLO x"],
    &["STARTTLS", "(handshake) other", "EHLO x"],
    &["STARTTLS", "(handshake) old", "EHLO x"],
    &["STARTTLS", "(handshake) old-other", "EHLO x"],
    &["AUTH PLAIN AGxvdWVuAHNlY3JldA=="],
    &["AUTH PLAIN AGFubgBzZWNyZXQ="],
    &["AUTH PLAIN AGJveEBtYWlsYm94LmV4YW1wbGUAc2VjcmV0"],
    &["STARTTLS", "(handshake) listed", "EHLO x", "AUTH PLAIN AGFubgBzZWNyZXQ="],
];

/// The fingerprint of a certificate, or of its key, as OpenSSL tells it.
fn fingerprint(name: &str, of_key: bool) -> String {
    let certificate = format!("openssl x509 -in /etc/tls/{name}.pem");
    let script = if of_key {
        format!(
            "{certificate} -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst \
             -sha256 -c"
        )
    } else {
        format!("{certificate} -noout -fingerprint -sha256")
    };
    let told = output_of(Command::new("sh").args(["-c", &script])).success();
    let print = told.trim().rsplit(['=', ' ']).next().expect("it tells one");
    print.to_uppercase()
}

#[test]
fn replies_are_those_of_postfix() {
    machine(|machine| {
        let authority = Authority::new(machine);
        authority.issue("mx", &[NAME], Key::Ecdsa);
        for name in ["listed", "by-key", "other"] {
            authority.issue(name, &["client.example"], Key::Ecdsa);
        }
        for name in ["old", "old-other"] {
            authority.issue_until(name, &["client.example"], Key::Ecdsa, 2021);
        }
        let mut certs = String::new();
        for (name, of_key, action) in [
            ("listed", false, "REJECT not this one"),
            ("by-key", true, "450 4.7.1 not now"),
            ("old", false, "OK"),
        ] {
            let _ = writeln!(certs, "{} {action}", fingerprint(name, of_key));
        }
        let prints = format!("/^{}$/ REJECT\n/^.{{95}}$/ DUNNO\n", fingerprint("by-key", true));
        let table = |name, format, text: String| Table { name, format, text: text.leak() };
        let tables = [
            table("certs", "texthash", certs),
            table("prints", "regexp", prints),
            table("owners", "texthash", OWNERS.to_owned()),
            table("by-name", "regexp", BY_NAME.to_owned()),
            table("logins", "texthash", LOGINS.to_owned()),
            table("classes", "texthash", CLASSES.to_owned()),
        ];
        let users = "louen:{PLAIN}secret\nann:{PLAIN}secret\nbox@mailbox.example:{PLAIN}secret\n";
        let dovecot = Dovecot::start(machine, "plain", users);
        let more = More {
            listen: "auth = true\nask-client-cert = true\nlimits = { errors = 1000 }",
            domains: "delimiter = \"+\"",
            settings: "relay-clientcerts = [\"certs\"]\nsender-logins = [\"owners\", \"by-name\"]",
            sections: &format!(
                "[auth]\ndovecot = \"{DOVECOT_SOCKET}\"\ntls-only = false\n[tls]\n\
                 client-authorities = \"/etc/tls/ca.pem\"\n{}",
                Authority::sections(&["mx"])
            ),
            main: &format!(
                "smtpd_hard_error_limit = 1000\nrecipient_delimiter = +\n\
                 smtpd_tls_security_level = may\n\
                 smtpd_tls_chain_files = /etc/tls/mx.key, /etc/tls/mx.pem\n\
                 smtpd_tls_CAfile = /etc/tls/ca.pem\nsmtpd_tls_ask_ccert = yes\n\
                 smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n\
                 smtpd_sasl_path = {DOVECOT_SOCKET}\n\
                 relay_clientcerts = texthash:/etc/tables/certs\n\
                 smtpd_sender_login_maps = texthash:/etc/tables/owners, \
                 regexp:/etc/tables/by-name\n"
            ),
            ..More::default()
        };
        let servers = Servers::start(machine, CASES, &tables, &DISCARD, more);
        let mut problems = Vec::new();
        for (number, case) in CASES.iter().enumerate() {
            case.compare_each(PROOFS, FIRST_PORT + number, &mut problems);
        }
        assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
        drop((servers, dovecot));
    });
}
