//! Every restriction that the plugin `restrictions` names, but for those that ask tables.

use facteur_tests::machine_within;

use super::*;

/// A recipient of each class, known and unknown, and those that route by themselves.
const TO_EACH: &[&str] = &[
    "RCPT TO:<louen@local.example>",
    "RCPT TO:<Louen@LOCAL.example>",
    "RCPT TO:<nobody@local.example>",
    "RCPT TO:<known@alias.example>",
    "RCPT TO:<nobody@alias.example>",
    "RCPT TO:<box@mailbox.example>",
    "RCPT TO:<nobody@mailbox.example>",
    "RCPT TO:<x@relay.example>",
    "RCPT TO:<x@sub.relay.example>",
    "RCPT TO:<x@known.example>",
    "RCPT TO:<x@unknown.example>",
    "RCPT TO:<x@unknown>",
    "RCPT TO:<x@[192.0.2.66]>",
    "RCPT TO:<x%known.example@relay.example>",
    "RCPT TO:<known.example!x@relay.example>",
    "RCPT TO:<x@known.example@relay.example>",
    "RCPT TO:<@relay.example:x@known.example>",
    "RCPT TO:<\"a b\"@known.example>",
    "RCPT TO:<\"a b\"@relay.example>",
    "RCPT TO:<louen>",
    "RCPT TO:<nobody>",
    "RCPT TO:<postmaster>",
    "RCPT TO:<postmaster@local.example>",
];

/// A sender of each kind.
const FROM_EACH: &[&str] = &[
    "MAIL FROM:<>",
    "MAIL FROM:<a@known.example>",
    "MAIL FROM:<a@address.example>",
    "MAIL FROM:<a@six.example>",
    "MAIL FROM:<a@alias.of.example>",
    "MAIL FROM:<a@dangling.example>",
    "MAIL FROM:<a@unknown.example>",
    "MAIL FROM:<a@nothing.example>",
    "MAIL FROM:<a@nullmx.example>",
    "MAIL FROM:<a@half.example>",
    "MAIL FROM:<a@other-half.example>",
    "MAIL FROM:<a@broken.example>",
    "MAIL FROM:<a@local.example>",
    "MAIL FROM:<a@alias.example>",
    "MAIL FROM:<a@mailbox.example>",
    "MAIL FROM:<a@relay.example>",
    "MAIL FROM:<a@sub.relay.example>",
    "MAIL FROM:<a@unqualified>",
    "MAIL FROM:<a@localhost>",
    "MAIL FROM:<bare>",
    "MAIL FROM:<a@[192.0.2.1]>",
    "MAIL FROM:<\"a b\"@unknown.example>",
    "MAIL FROM:<a@b@unknown.example>",
    "MAIL FROM:<a@under_score.unknown.example>",
];
const ONE: &str = "RCPT TO:<louen@local.example>";
const ELSEWHERE: &str = "RCPT TO:<x@known.example>";

/// Every kind of name that a client may give itself.
const HELO_EACH: &[&str] = &[
    "HELO known.example",
    "HELO address.example",
    "HELO known.example.",
    "HELO known.example..",
    "HELO six.example",
    "HELO nullmx.example",
    "HELO unknown.example",
    "HELO nothing.example",
    "HELO broken.example",
    "HELO half.example",
    "HELO other-half.example",
    "HELO unqualified",
    "HELO under_score.example",
    "HELO -dash.example",
    "HELO dash-.example",
    "HELO double..dot",
    "HELO .known.example",
    "HELO a*b.example",
    "HELO two words",
    "HELO [192.0.2.1]",
    "HELO [192.0.2.300]",
    "HELO [IPv6:2001:db8::1]",
    "HELO [2001:db8::1]",
    "HELO []",
    "HELO [192.0.2.1",
    "HELO 192.0.2.1",
    "HELO 192.0.2",
    "HELO 2001:db8::1",
    "HELO 12345",
    "HELO localhost",
    "EHLO unqualified",
];
const MAIL: &str = "MAIL FROM:<a@known.example>";

/// Recipients with all kinds of domains.
const DOMAINS_OF_EACH: &[&str] = &[
    ONE,
    "RCPT TO:<known@alias.example>",
    "RCPT TO:<box@mailbox.example>",
    "RCPT TO:<x@relay.example>",
    "RCPT TO:<x@known.example>",
    "RCPT TO:<x@address.example>",
    "RCPT TO:<x@alias.of.example>",
    "RCPT TO:<x@dangling.example>",
    "RCPT TO:<x@unknown.example>",
    "RCPT TO:<x@nothing.example>",
    "RCPT TO:<x@nullmx.example>",
    "RCPT TO:<x@half.example>",
    "RCPT TO:<x@other-half.example>",
    "RCPT TO:<x@broken.example>",
    "RCPT TO:<x@unqualified>",
    "RCPT TO:<louen@localhost>",
    "RCPT TO:<x@[192.0.2.66]>",
    "RCPT TO:<x@unknown.example@relay.example>",
    "RCPT TO:<louen>",
    "RCPT TO:<postmaster>",
    "RCPT TO:<\"a b\"@unknown.example>",
    "RCPT TO:<x@-dash.example>",
];

const EACH_CLIENT: &[&str] = &[TRUSTED, STRANGER, NAMELESS, LIAR, UNRESOLVED, LOST];
/// To a mailbox, to someone else's, with content.
const WHOLE: &[&str] = &[ONE, ELSEWHERE, "DATA"];

const BARE: &str = "a bare name gets the origin before any plugin is asked, and is an address in \
 full from then on";
const LOCALHOST: &str = "localhost is known without asking (RFC 6761 section 6.3)";
const NAMELESS_CLIENT: &str =
    "the protocol doesn't know the client's name, and the client knows its own";

const CASES: &[Case] = &[
    case(
        "the percent hack",
        &[("recipient", "permit_mynetworks, reject_unlisted_recipient")],
        &["RCPT TO:<x%known.example@local.example>"],
    )
    .differs(&[differs(
        "RCPT TO:<x%known.example@local.example>",
        "550 5.1.1 <x%known.example@local.example>: Recipient address rejected: User unknown in \
         local recipient table",
        "250 2.1.5 Ok",
        "a percent sign in a local part routes nothing: there is no such user",
    )
    .only_to(TRUSTED)]),
    // Who may relay.
    case(
        "permit_mynetworks",
        &[
            NO_RELAY,
            (
                "recipient",
                "permit_mynetworks, \
     reject_unauth_destination",
            ),
        ],
        TO_EACH,
    ),
    case(
        "permit_sasl_authenticated",
        &[NO_RELAY, ("recipient", "permit_sasl_authenticated, reject_unauth_destination")],
        TO_EACH,
    ),
    case(
        "permit_auth_destination",
        &[
            NO_RELAY,
            (
                "recipient",
                "permit_auth_destination, \
     reject",
            ),
        ],
        TO_EACH,
    ),
    case(
        "reject_unauth_destination",
        &[NO_RELAY, ("recipient", "reject_unauth_destination")],
        TO_EACH,
    ),
    case(
        "defer_unauth_destination",
        &[NO_RELAY, ("recipient", "defer_unauth_destination")],
        TO_EACH,
    ),
    case(
        "Postfix's own default",
        &[("relay", "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination")],
        TO_EACH,
    ),
    case(
        "reject_unauth_destination for \
     senders",
        &[("sender", "reject_unauth_destination")],
        TO_EACH,
    ),
    case(
        "permit_auth_destination for \
     clients",
        &[("client", "permit_auth_destination, reject")],
        TO_EACH,
    ),
    // The generic ones, in each list.
    case("permit", &[("client", "permit, reject"), ("recipient", "permit, reject")], WHOLE),
    case("reject in client", &[("client", "permit_mynetworks, reject")], WHOLE),
    case("reject in helo", &[("helo", "permit_mynetworks, reject")], WHOLE),
    case("reject in sender", &[("sender", "permit_mynetworks, reject")], WHOLE),
    case("reject in relay", &[("relay", "permit_mynetworks, reject")], WHOLE),
    case("reject in recipient", &[("recipient", "permit_mynetworks, reject")], WHOLE),
    case("reject in data", &[("data", "permit_mynetworks, reject")], WHOLE),
    case("reject in end-of-data", &[("end-of-data", "permit_mynetworks, reject")], WHOLE),
    case("defer in client", &[("client", "defer")], WHOLE),
    case("defer in helo", &[("helo", "defer")], WHOLE),
    case("defer in sender", &[("sender", "defer")], WHOLE),
    case("defer in relay", &[("relay", "permit_mynetworks, defer")], WHOLE),
    case("defer in recipient", &[("recipient", "permit_mynetworks, defer")], WHOLE),
    case("defer in data", &[("data", "defer")], WHOLE),
    case("defer in end-of-data", &[("end-of-data", "defer")], WHOLE),
    case("defer_if_permit in client", &[("client", "defer_if_permit")], WHOLE),
    case("defer_if_permit in helo", &[("helo", "defer_if_permit")], WHOLE),
    case("defer_if_permit in sender", &[("sender", "permit_mynetworks, defer_if_permit")], WHOLE),
    case(
        "defer_if_permit in \
     relay",
        &[("relay", "defer_if_permit, permit_mynetworks, reject")],
        WHOLE,
    ),
    case(
        "defer_if_permit in \
     recipient",
        &[("recipient", "permit_mynetworks, defer_if_permit")],
        WHOLE,
    ),
    case("defer_if_permit in data", &[("data", "permit_mynetworks, defer_if_permit")], WHOLE),
    case("defer_if_permit in end-of-data", &[("end-of-data", "defer_if_permit")], WHOLE),
    case("defer_if_reject in client", &[("client", "defer_if_reject")], TO_EACH),
    case(
        "defer_if_reject in client, reject \
     there",
        &[("client", "defer_if_reject, permit_mynetworks, reject")],
        WHOLE,
    ),
    case(
        "defer_if_reject in sender",
        &[("sender", "defer_if_reject"), ("recipient", "permit_mynetworks, reject")],
        WHOLE,
    ),
    case(
        "defer_if_reject in \
     relay",
        &[("relay", "defer_if_reject, permit_mynetworks, reject")],
        WHOLE,
    ),
    case(
        "defer_if_reject in relay, reject in recipient",
        &[("relay", "defer_if_reject, permit_mynetworks, reject"), ("recipient", "reject")],
        WHOLE,
    ),
    case("defer_if_reject in recipient", &[("recipient", "defer_if_reject")], TO_EACH),
    case(
        "defer_if_reject before \
     reject",
        &[("recipient", "permit_mynetworks, defer_if_reject, reject")],
        WHOLE,
    ),
    case("defer_if_reject in data", &[("data", "defer_if_reject, reject")], WHOLE),
    case("both defer_if", &[("recipient", "defer_if_reject, defer_if_permit, reject")], WHOLE),
    case(
        "both defer_if, the other way \
     round",
        &[("recipient", "defer_if_permit, defer_if_reject, permit")],
        WHOLE,
    ),
    case(
        "defer_if_permit before \
     reject",
        &[("recipient", "defer_if_permit, permit_mynetworks, reject")],
        WHOLE,
    ),
    case("warn_if_reject", &[("client", "warn_if_reject reject, warn_if_reject defer")], WHOLE),
    case(
        "warn_if_reject \
     once",
        &[("recipient", "warn_if_reject reject, permit_mynetworks, reject")],
        WHOLE,
    ),
    case(
        "warn_if_reject and defer_if",
        &[("sender", "warn_if_reject defer_if_permit, warn_if_reject defer_if_reject")],
        WHOLE,
    ),
    case(
        "warn_if_reject and relaying",
        &[("relay", "warn_if_reject reject_unauth_destination, permit_mynetworks, reject")],
        WHOLE,
    ),
    // The client's name.
    case("reject_unknown_client_hostname", &[("client", "reject_unknown_client_hostname")], &[ONE])
        .from(EACH_CLIENT),
    case("reject_unknown_client", &[("recipient", "reject_unknown_client")], &[ONE])
        .from(EACH_CLIENT),
    case(
        "reject_unknown_reverse_client_hostname",
        &[("client", "reject_unknown_reverse_client_hostname")],
        &[ONE],
    )
    .from(EACH_CLIENT),
    case("the client's name in a reply", &[("client", "reject")], &[ONE]).from(EACH_CLIENT),
    // What it says its name is.
    case("reject_invalid_helo_hostname", &[("helo", "reject_invalid_helo_hostname")], &[MAIL, ONE])
        .each(HELO_EACH),
    case(
        "reject_non_fqdn_helo_hostname",
        &[("helo", "reject_non_fqdn_helo_hostname")],
        &[MAIL, ONE],
    )
    .each(HELO_EACH),
    case("reject_unknown_helo_hostname", &[("helo", "reject_unknown_helo_hostname")], &[MAIL, ONE])
        .differs(&[differs(
            ONE,
            "250 2.1.5 Ok",
            "450 4.7.1 <localhost>: Helo command rejected: Host not found",
            LOCALHOST,
        )])
        .each(HELO_EACH),
    case(
        "their older names",
        &[(
            "recipient",
            "reject_invalid_hostname, reject_non_fqdn_hostname, \
         reject_unknown_hostname",
        )],
        &[MAIL, ONE],
    )
    .each(HELO_EACH),
    case("no HELO", &[("helo", "reject_invalid_helo_hostname, reject")], &[MAIL, ONE]).silent(),
    case(
        "a silent DNS about \
     HELO",
        &[("helo", "reject_unknown_helo_hostname")],
        &["HELO silent.example", MAIL, ONE],
    )
    .from(&[STRANGER]),
    // The sender.
    case("reject_non_fqdn_sender", &[("sender", "reject_non_fqdn_sender")], &[ONE])
        .differs(&[differs(
            ONE,
            "250 2.1.5 Ok",
            "504 5.5.2 <bare@local.example>: Sender address rejected: need fully-qualified address",
            BARE,
        )])
        .each(FROM_EACH),
    case("reject_unknown_sender_domain", &[("sender", "reject_unknown_sender_domain")], &[ONE])
        .each(FROM_EACH),
    case(
        "reject_unknown_address",
        &[(
            "recipient",
            "permit_mynetworks, \
     reject_unknown_address",
        )],
        &[ONE],
    )
    .each(FROM_EACH),
    case(
        "a silent DNS about the sender",
        &[("sender", "reject_unknown_sender_domain")],
        &["MAIL FROM:<a@silent.example>", ONE, "RCPT TO:<nobody@local.example>"],
    )
    .differs(&[differs(
        "RCPT TO:<nobody@local.example>",
        "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
         recipient table",
        "450 4.1.8 <a@silent.example>: Sender address rejected: Domain not found",
        UNKNOWN_ANYWAY,
    )])
    .from(&[STRANGER]),
    // The recipient.
    case(
        "reject_non_fqdn_recipient",
        &[("recipient", "reject_non_fqdn_recipient")],
        DOMAINS_OF_EACH,
    )
    .differs(&[differs(
        "RCPT TO:<louen>",
        "250 2.1.5 Ok",
        "504 5.5.2 <louen@local.example>: Recipient address rejected: need fully-qualified \
             address",
        BARE,
    )]),
    case(
        "reject_unknown_recipient_domain",
        &[("recipient", "reject_unknown_recipient_domain")],
        DOMAINS_OF_EACH,
    ),
    case(
        "a silent DNS about the recipient",
        &[("recipient", "reject_unknown_recipient_domain")],
        &["RCPT TO:<x@silent.example>"],
    )
    .from(&[TRUSTED]),
    case(
        "reject_unlisted_recipient",
        &[(
            "recipient",
            "reject_unlisted_recipient, \
     reject",
        )],
        TO_EACH,
    ),
    case(
        "reject_unlisted_recipient for \
     clients",
        &[("client", "reject_unlisted_recipient, reject")],
        TO_EACH,
    ),
    case("reject_unlisted_sender", &[("sender", "reject_unlisted_sender")], &[ONE]).each(FROM_EACH),
    case(
        "a warning of an unlisted sender",
        &[("sender", "warn_if_reject reject_unlisted_sender")],
        &[ONE],
    )
    .each(&["MAIL FROM:<nobody@local.example>", "MAIL FROM:<louen@local.example>"]),
    case("check_recipient_maps", &[("recipient", "check_recipient_maps")], TO_EACH),
    case(
        "reject_multi_recipient_bounce in data",
        &[("data", "reject_multi_recipient_bounce")],
        &[
            "MAIL FROM:<>",
            ONE,
            "DATA",
            "MAIL FROM:<>",
            ONE,
            "RCPT TO:<known@alias.example>",
            "DATA",
            "RSET",
            MAIL,
            ONE,
            "RCPT TO:<known@alias.example>",
            "DATA",
        ],
    ),
    case(
        "reject_multi_recipient_bounce in recipient",
        &[("recipient", "reject_multi_recipient_bounce")],
        &[
            "MAIL FROM:<>",
            ONE,
            "RCPT TO:<known@alias.example>",
            "DATA",
            MAIL,
            ONE,
            "RCPT TO:<known@alias.example>",
        ],
    ),
    // Temporary errors of the DNS wait for the end of all lists.
    case(
        "a temporary error, then permit",
        &[
            (
                "sender",
                "reject_unknown_sender_domain, \
         permit_mynetworks",
            ),
            ("recipient", "permit_mynetworks, reject"),
        ],
        &["MAIL FROM:<a@broken.example>", ONE, ELSEWHERE, "RCPT TO:<nobody@local.example>"],
    )
    .differs(&[differs(
        "RCPT TO:<nobody@local.example>",
        "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
         recipient table",
        "450 4.1.8 <a@broken.example>: Sender address rejected: Domain not found",
        UNKNOWN_ANYWAY,
    )
    .only_to(TRUSTED)]),
    case(
        "a temporary error, then relaying",
        &[
            NO_RELAY,
            (
                "recipient",
                "reject_unknown_sender_domain, permit_mynetworks, \
         reject_unauth_destination",
            ),
        ],
        &["MAIL FROM:<a@broken.example>", ONE, ELSEWHERE, "RCPT TO:<nobody@local.example>"],
    )
    .differs(&[differs(
        "RCPT TO:<nobody@local.example>",
        "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
         recipient table",
        "450 4.1.8 <a@broken.example>: Sender address rejected: Domain not found",
        UNKNOWN_ANYWAY,
    )]),
    case(
        "two temporary errors",
        &[("helo", "reject_unknown_helo_hostname"), ("sender", "reject_unknown_sender_domain")],
        &["EHLO broken.example", "MAIL FROM:<a@broken.example>", ONE],
    ),
    case(
        "a temporary error, warned of",
        &[("sender", "warn_if_reject reject_unknown_sender_domain")],
        &["MAIL FROM:<a@broken.example>", "MAIL FROM:<a@unknown.example>", ONE],
    ),
    case(
        "a temporary error and defer_if_reject",
        &[("recipient", "defer_if_reject, reject_unknown_sender_domain, reject")],
        &["MAIL FROM:<a@broken.example>", "MAIL FROM:<a@unknown.example>", ONE],
    ),
    // Which list ends what.
    case(
        "all lists",
        &[
            ("client", "permit_mynetworks, reject_unknown_client_hostname"),
            ("helo", "reject_invalid_helo_hostname"),
            ("sender", "reject_non_fqdn_sender, reject_unknown_sender_domain"),
            ("relay", "permit_mynetworks, reject_unauth_destination"),
            (
                "recipient",
                "reject_non_fqdn_recipient, permit_mynetworks, \
             reject_unlisted_recipient",
            ),
            ("data", "reject_multi_recipient_bounce"),
            ("end-of-data", "permit_mynetworks"),
        ],
        TO_EACH,
    )
    .differs(&[
        differs(
            "RCPT TO:<louen>",
            "250 2.1.5 Ok",
            "504 5.5.2 <louen@local.example>: Recipient address rejected: need fully-qualified \
             address",
            BARE,
        ),
        differs(
            "RCPT TO:<nobody>",
            "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
             recipient table",
            "504 5.5.2 <nobody@local.example>: Recipient address rejected: need fully-qualified \
             address",
            BARE,
        ),
    ])
    .from(EACH_CLIENT),
    case(
        "postmaster",
        &[("client", "reject"), ("recipient", "reject")],
        &[
            "RCPT TO:<postmaster>",
            "RCPT TO:<PostMaster>",
            "RCPT TO:<\"postmaster\">",
            "RCPT TO:<postmaster@localhost>",
        ],
    ),
    // Without delay.
    case("client, at once", &[("client", "permit_mynetworks, reject")], &["EHLO x", MAIL, ONE])
        .differs(&[
            differs(
                "EHLO x",
                "503 5.7.0 Error: access denied",
                "503 5.7.0 Error: access denied for stranger.example.net[203.0.113.25]",
                NAMELESS_CLIENT,
            )
            .only_to(STRANGER),
            differs(
                "MAIL FROM:<a@known.example>",
                "503 5.7.0 Error: access denied",
                "503 5.7.0 Error: access denied for stranger.example.net[203.0.113.25]",
                NAMELESS_CLIENT,
            )
            .only_to(STRANGER),
            differs(
                "RCPT TO:<louen@local.example>",
                "503 5.7.0 Error: access denied",
                "503 5.7.0 Error: access denied for stranger.example.net[203.0.113.25]",
                NAMELESS_CLIENT,
            )
            .only_to(STRANGER),
        ])
        .early(),
    case(
        "helo, at once",
        &[("helo", "reject_non_fqdn_helo_hostname")],
        &["EHLO x", "EHLO x.example", MAIL, ONE],
    )
    .early(),
];

/// For cases that guard relaying by `recipient`.
const NO_RELAY: (&str, &str) = ("relay", "");

#[test]
fn replies_are_those_of_postfix() {
    machine_within(std::time::Duration::from_secs(180), |machine| compare_all(machine, CASES, &[]));
}

/// A restriction that the plugin learns must be compared too.
#[test]
fn none_is_left_out() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/restrictions/src/restriction.rs");
    let source = std::fs::read_to_string(source).expect("the plugin is in the repository");
    // A long one has two lines.
    let source = source.replace("(\n        \"", "(\"").replace("\",\n        Re", "\", Re");
    let named =
        source.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split_once("\", "));
    let names: Vec<_> = named
        .filter(|(_, what)| what.starts_with("Restriction::") || what.starts_with("Key::"))
        .map(|(name, _)| name)
        // facteur's own name for permit_mynetworks.
        .filter(|name| *name != "permit_trusted")
        .collect();
    assert!(names.len() > 30, "{names:?}");
    let compared = |name: &str| {
        let all = CASES.iter().chain(access::CASES).chain(proven::CASES);
        let mut lists = all.chain(pipelining::CASES).flat_map(Case::lists);
        lists.any(|(_, list)| list.split([',', ' ']).any(|word| word == name))
    };
    let missing: Vec<_> = names.iter().filter(|name| !compared(name)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}
