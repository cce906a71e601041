//! Access tables: every result of access(5), every kind of key, every format.

use std::time::Duration;

use facteur_tests::machine_within;

use super::*;

const TABLES: &[Table] = &[
    Table {
        name: "results",
        format: "texthash",
        text: "\
ok@r.example OK
ok-text@r.example OK whatever
relay@r.example RELAY
digits@r.example 1234567890
three-digits@r.example 550
reject@r.example REJECT
lower@r.example reject
reject-text@r.example REJECT go away
reject-status@r.example REJECT 5.7.9 go away
reject-address-status@r.example REJECT 5.1.1 no such user
reject-sender-status@r.example REJECT 5.1.8 no such domain
reject-other-class@r.example REJECT 4.2.1 not you
reject-status-alone@r.example REJECT 5.7.9
code-4@r.example 450 later
code-421@r.example 421 hang up
code-5@r.example 550 no
code-521@r.example 521 hang up
code-status@r.example 550 5.1.1 nobody
code-4-status@r.example 451 4.1.8 not now
code-2@r.example 250 fine
defer@r.example DEFER
defer-text@r.example DEFER not now
defer-status@r.example DEFER 4.7.9 not now
defer-if-permit@r.example DEFER_IF_PERMIT
defer-if-permit-text@r.example DEFER_IF_PERMIT 4.7.9 wait for it
defer-if-reject@r.example DEFER_IF_REJECT
defer-if-reject-text@r.example DEFER_IF_REJECT 4.7.9 wait for it
dunno@r.example DUNNO
dunno-text@r.example DUNNO what
discard@r.example DISCARD
discard-text@r.example DISCARD away with it
hold@r.example HOLD
hold-text@r.example HOLD look at it
prepend@r.example PREPEND X-Seen: yes
prepend-wrong@r.example PREPEND nothing
redirect@r.example REDIRECT louen@local.example
redirect-wrong@r.example REDIRECT louen
bcc@r.example BCC louen@local.example
bcc-wrong@r.example BCC
warn@r.example WARN hm
info@r.example INFO hm
filter@r.example FILTER smtp:[192.0.2.66]
one-restriction@r.example reject_unauth_destination
restrictions@r.example permit_mynetworks, reject
permit@r.example permit
nonsense@r.example nonsense
long@r.example 550 5.7.1 \
aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj
",
    },
    Table {
        name: "senders",
        format: "texthash",
        text: "\
<> REJECT null
user@exact.example REJECT exact
USER@Upper.example REJECT upper
domain.example REJECT domain
.dotted.example REJECT dotted
local@ REJECT local
Mixed@ REJECT mixed
sub.more.example OK
more.example REJECT more
tld REJECT top
[192.0.2.1] REJECT literal
a b@quoted.example REJECT unquoted
",
    },
    Table {
        name: "recipients",
        format: "texthash",
        text: "\
louen@local.example OK
louen@localhost REJECT localhost
postmaster@local.example REJECT postmaster
known@alias.example REJECT alias
relay.example REJECT relay
known.example OK
x@ REJECT x
",
    },
    Table {
        name: "clients",
        format: "texthash",
        text: "\
stranger.example.net REJECT by name
198.51.100 REJECT by network
unknown REJECT without a name
",
    },
    Table {
        name: "parents",
        format: "texthash",
        text: "example.net REJECT by domain\n\
     198.51.100.10 REJECT by address\n",
    },
    Table {
        name: "octets",
        format: "texthash",
        text: "203 REJECT by octet\nclient.trusted.example \
     DUNNO\n198 REJECT not reached\n",
    },
    Table {
        name: "names",
        format: "texthash",
        text: "\
exact.example REJECT exact
parent.example REJECT parent
192.0.2.1 REJECT address
[192.0.2.1] REJECT literal
unqualified REJECT short
tld REJECT top
",
    },
    Table {
        name: "patterns",
        format: "regexp",
        text: "\
/^user@(.*)\\.example$/ REJECT $1 by pattern
/^(exact|other)\\.example$/ REJECT helo $1
/^<>$/ REJECT null
/^@?d\\.example$/ REJECT never
/@D\\.EXAMPLE$/ 450 4.7.1 any case
!/@/ DUNNO
/^\"a b\"@/ REJECT quoted
/^a b@/ REJECT unquoted
",
    },
    Table {
        name: "networks",
        format: "cidr",
        text: "198.51.100.0/25 REJECT network\n203.0.113.25 REJECT address\n203.0.113.0/24 OK\n\
         0.0.0.0/0 DUNNO\n",
    },
];

const MAIL: &str = "MAIL FROM:<a@known.example>";
const ONE: &str = "RCPT TO:<louen@local.example>";
const ELSEWHERE: &str = "RCPT TO:<x@known.example>";
const UNKNOWN: &str = "RCPT TO:<nobody@local.example>";

/// All but those that hang up.
const RESULTS: &[&str] = &[
    "MAIL FROM:<ok@r.example>",
    "MAIL FROM:<ok-text@r.example>",
    "MAIL FROM:<relay@r.example>",
    "MAIL FROM:<digits@r.example>",
    "MAIL FROM:<three-digits@r.example>",
    "MAIL FROM:<reject@r.example>",
    "MAIL FROM:<lower@r.example>",
    "MAIL FROM:<reject-text@r.example>",
    "MAIL FROM:<reject-status@r.example>",
    "MAIL FROM:<reject-address-status@r.example>",
    "MAIL FROM:<reject-sender-status@r.example>",
    "MAIL FROM:<reject-other-class@r.example>",
    "MAIL FROM:<reject-status-alone@r.example>",
    "MAIL FROM:<code-4@r.example>",
    "MAIL FROM:<code-5@r.example>",
    "MAIL FROM:<code-status@r.example>",
    "MAIL FROM:<code-4-status@r.example>",
    "MAIL FROM:<code-2@r.example>",
    "MAIL FROM:<defer@r.example>",
    "MAIL FROM:<defer-text@r.example>",
    "MAIL FROM:<defer-status@r.example>",
    "MAIL FROM:<defer-if-permit@r.example>",
    "MAIL FROM:<defer-if-permit-text@r.example>",
    "MAIL FROM:<defer-if-reject@r.example>",
    "MAIL FROM:<defer-if-reject-text@r.example>",
    "MAIL FROM:<dunno@r.example>",
    "MAIL FROM:<dunno-text@r.example>",
    "MAIL FROM:<discard@r.example>",
    "MAIL FROM:<discard-text@r.example>",
    "MAIL FROM:<hold@r.example>",
    "MAIL FROM:<hold-text@r.example>",
    "MAIL FROM:<prepend@r.example>",
    "MAIL FROM:<prepend-wrong@r.example>",
    "MAIL FROM:<redirect@r.example>",
    "MAIL FROM:<redirect-wrong@r.example>",
    "MAIL FROM:<bcc@r.example>",
    "MAIL FROM:<bcc-wrong@r.example>",
    "MAIL FROM:<warn@r.example>",
    "MAIL FROM:<info@r.example>",
    "MAIL FROM:<filter@r.example>",
    "MAIL FROM:<one-restriction@r.example>",
    "MAIL FROM:<restrictions@r.example>",
    "MAIL FROM:<permit@r.example>",
    "MAIL FROM:<nonsense@r.example>",
    "MAIL FROM:<long@r.example>",
    "MAIL FROM:<none@r.example>",
];

const SENDERS: &[&str] = &[
    "MAIL FROM:<>",
    "MAIL FROM:<user@exact.example>",
    "MAIL FROM:<USER@EXACT.example>",
    "MAIL FROM:<other@exact.example>",
    "MAIL FROM:<user@upper.example>",
    "MAIL FROM:<user@domain.example>",
    "MAIL FROM:<user@sub.domain.example>",
    "MAIL FROM:<user@a.deep.sub.domain.example>",
    "MAIL FROM:<user@notdomain.example>",
    "MAIL FROM:<user@dotted.example>",
    "MAIL FROM:<user@sub.dotted.example>",
    "MAIL FROM:<local@known.example>",
    "MAIL FROM:<mixed@known.example>",
    "MAIL FROM:<user@sub.more.example>",
    "MAIL FROM:<user@other.more.example>",
    "MAIL FROM:<user@known.tld>",
    "MAIL FROM:<user@[192.0.2.1]>",
    "MAIL FROM:<\"a b\"@quoted.example>",
    "MAIL FROM:<a+b@exact.example>",
    "MAIL FROM:<user@d.example>",
    "MAIL FROM:<x@d.example>",
    "MAIL FROM:<exact.example>",
];

const RECIPIENTS: &[&str] = &[
    ONE,
    "RCPT TO:<LOUEN@local.example>",
    "RCPT TO:<louen>",
    "RCPT TO:<louen@localhost>",
    "RCPT TO:<postmaster>",
    "RCPT TO:<postmaster@local.example>",
    "RCPT TO:<known@alias.example>",
    "RCPT TO:<nobody@alias.example>",
    "RCPT TO:<y@relay.example>",
    "RCPT TO:<y@sub.relay.example>",
    "RCPT TO:<y@known.example>",
    "RCPT TO:<x@known.example>",
    "RCPT TO:<x@local.example>",
    "RCPT TO:<y%known.example@known.example>",
    "RCPT TO:<y@somewhere@known.example>",
    "RCPT TO:<@known.example:y@known.example>",
    UNKNOWN,
];

const HELOS: &[&str] = &[
    "EHLO exact.example",
    "EHLO EXACT.example",
    "EHLO sub.exact.example",
    "EHLO parent.example",
    "EHLO a.b.parent.example",
    "EHLO notparent.example",
    "EHLO other.example",
    "EHLO 192.0.2.1",
    "EHLO [192.0.2.1]",
    "EHLO [192.0.2.2]",
    "EHLO unqualified",
    "EHLO x.tld",
    "EHLO exact.example.",
];

const CLIENTS: &[&str] = &[TRUSTED, STRANGER, NAMELESS, LIAR, LOST];

/// What facteur says to an entry that it can't carry out.
const BROKEN: &str = "451 4.3.5 Server configuration error";
const FILTER: &str = "filters are plugins, not transports, and an entry that can't be carried out \
 is never passed over";
const NO_RECIPIENT: &str = "a list before RCPT is asked once a transaction, so that a table there \
 can't name a restriction of recipients";
const DISCARDED: &str = "nothing was queued, so that there is no queue id to tell";
const DOTTED: &str = "a parent domain is found with and without its leading dot; Postfix asks for \
 the form that \
    parent_domain_matches_subdomains says";
const UNQUOTED: &str = "an address is asked for in one form, unquoted, whatever the kind of table";
const ROUTED: &str = "a source route is never relayed because of a table";
const LOWER_CASE: &str = "tables are asked in lower case, tables of patterns too";

pub(super) const CASES: &[Case] = &[
    case(
        "results for \
     senders",
        &[("sender", "check_sender_access table:results, reject")],
        &[ONE, ELSEWHERE],
    )
    .differs(&[
        differs(
            ONE,
            BROKEN,
            "554 5.7.1 <filter@r.example>: Sender address rejected: Access \
             denied",
            FILTER,
        ),
        differs(
            ELSEWHERE,
            BROKEN,
            "554 5.7.1 <filter@r.example>: Sender address rejected: \
             Access denied",
            FILTER,
        ),
        differs(
            ONE,
            BROKEN,
            "554 5.7.1 <one-restriction@r.example>: Sender address rejected: Access denied",
            NO_RECIPIENT,
        ),
        differs(
            ELSEWHERE,
            BROKEN,
            "554 5.7.1 <x@known.example>: Relay access \
             denied",
            NO_RECIPIENT,
        ),
    ])
    .each(RESULTS),
    case(
        "results in recipient, then permit",
        &[("recipient", "check_sender_access table:results, permit")],
        &[ONE, UNKNOWN],
    )
    .differs(&[
        differs(
            UNKNOWN,
            "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
             recipient table",
            "450 4.7.1 <defer-if-permit@r.example>: Sender address rejected: Service unavailable",
            UNKNOWN_ANYWAY,
        ),
        differs(
            UNKNOWN,
            "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
             recipient table",
            "450 4.7.9 <defer-if-permit-text@r.example>: Sender address rejected: wait for it",
            UNKNOWN_ANYWAY,
        ),
        differs(ONE, BROKEN, "250 2.1.5 Ok", FILTER),
        differs(
            UNKNOWN,
            BROKEN,
            "550 5.1.1 <nobody@local.example>: Recipient address rejected: User unknown in local \
             recipient table",
            FILTER,
        ),
    ])
    .each(RESULTS),
    case(
        "results that allow relaying",
        &[(
            "relay",
            "check_sender_access table:results, permit_mynetworks, \
         reject_unauth_destination",
        )],
        &[ELSEWHERE],
    )
    .differs(&[
        differs(ELSEWHERE, BROKEN, "250 2.1.5 Ok", FILTER).only_to(TRUSTED),
        differs(
            ELSEWHERE,
            BROKEN,
            "554 5.7.1 <x@known.example>: Relay access \
         denied",
            FILTER,
        )
        .only_to(STRANGER),
    ])
    .each(RESULTS),
    case(
        "results, warned of",
        &[(
            "sender",
            "warn_if_reject check_sender_access table:results, permit_mynetworks, \
         reject",
        )],
        &[ONE],
    )
    .differs(&[
        differs(ONE, BROKEN, "250 2.1.5 Ok", FILTER).only_to(TRUSTED),
        differs(
            ONE,
            BROKEN,
            "554 5.7.1 <filter@r.example>: Sender address rejected: Access \
         denied",
            FILTER,
        )
        .only_to(STRANGER),
        differs(
            ONE,
            BROKEN,
            "554 5.7.1 <one-restriction@r.example>: Sender address rejected: Access denied",
            NO_RECIPIENT,
        )
        .only_to(STRANGER),
    ])
    .each(RESULTS),
    case("results at data", &[("data", "check_sender_access table:results")], &[ONE, "DATA"])
        .differs(&[
            differs(
                "DATA",
                "354 End data with <CR><LF>.<CR><LF>, 250 2.0.0 Ok",
                "354 End data with <CR><LF>.<CR><LF>, 250 2.0.0 Ok: queued as ID",
                DISCARDED,
            ),
            differs(
                "DATA",
                BROKEN,
                "354 End data with <CR><LF>.<CR><LF>, 250 2.0.0 Ok: queued as \
             ID",
                FILTER,
            ),
        ])
        .each(RESULTS),
    case(
        "results at the \
     end",
        &[("end-of-data", "check_sender_access table:results")],
        &[ONE, "DATA"],
    )
    .differs(&[
        differs(
            "DATA",
            "354 End data with <CR><LF>.<CR><LF>, 250 2.0.0 Ok",
            "354 End data with <CR><LF>.<CR><LF>, 250 2.0.0 Ok: queued as ID",
            DISCARDED,
        ),
        differs(
            "DATA",
            "354 End data with <CR><LF>.<CR><LF>, 451 4.3.5 Server configuration error",
            "354 End data with <CR><LF>.<CR><LF>, 250 2.0.0 Ok: queued as ID",
            FILTER,
        ),
    ])
    .each(RESULTS),
    case(
        "results that hang up",
        &[("sender", "check_sender_access table:results")],
        &["MAIL FROM:<code-521@r.example>", ONE, "NOOP"],
    ),
    case(
        "results that hang up for a while",
        &[("sender", "check_sender_access table:results")],
        &["MAIL FROM:<code-421@r.example>", ONE, "NOOP"],
    ),
    case("keys of senders", &[("sender", "check_sender_access table:senders")], &[ONE])
        .differs(&[differs(
            ONE,
            "554 5.7.1 <user@sub.dotted.example>: Sender address rejected: dotted",
            "250 2.1.5 Ok",
            DOTTED,
        )])
        .each(SENDERS),
    case("patterns for senders", &[("sender", "check_sender_access table:patterns")], &[ONE])
        .differs(&[differs(
            ONE,
            "554 5.7.1 <a b@quoted.example>: Sender address rejected: unquoted",
            "554 5.7.1 <a b@quoted.example>: Sender address rejected: quoted",
            UNQUOTED,
        )])
        .each(SENDERS),
    case(
        "two tables",
        &[(
            "sender",
            "check_sender_access table:senders, check_sender_access table:patterns, \
         reject",
        )],
        &[ONE],
    )
    .differs(&[
        differs(
            ONE,
            "554 5.7.1 <user@sub.dotted.example>: Sender address rejected: dotted",
            "554 5.7.1 <user@sub.dotted.example>: Sender address rejected: sub.dotted by pattern",
            DOTTED,
        ),
        differs(
            ONE,
            "554 5.7.1 <a b@quoted.example>: Sender address rejected: unquoted",
            "554 5.7.1 <a b@quoted.example>: Sender address rejected: quoted",
            UNQUOTED,
        ),
    ])
    .each(SENDERS),
    case(
        "keys of recipients",
        &[(
            "recipient",
            "check_recipient_access \
     table:recipients",
        )],
        RECIPIENTS,
    ),
    case(
        "keys of recipients that allow relaying",
        &[
            ("relay", ""),
            (
                "recipient",
                "check_recipient_access table:recipients, \
         reject_unauth_destination",
            ),
        ],
        RECIPIENTS,
    )
    .differs(&[differs(
        "RCPT TO:<@known.example:y@known.example>",
        "554 5.7.1 <y@known.example>: Relay access denied",
        "250 2.1.5 Ok",
        ROUTED,
    )]),
    case("a table alone", &[("recipient", "table:recipients, permit_mynetworks")], RECIPIENTS),
    case(
        "patterns for \
     recipients",
        &[("recipient", "check_recipient_access table:patterns")],
        RECIPIENTS,
    ),
    case(
        "recipients at data",
        &[("data", "check_recipient_access table:recipients")],
        &[
            MAIL,
            ONE,
            "DATA",
            MAIL,
            ELSEWHERE,
            "RSET",
            MAIL,
            "RCPT TO:<x@relay.example>",
            "DATA",
            "RSET",
            MAIL,
            ONE,
            "RCPT TO:<x@relay.example>",
            "DATA",
        ],
    ),
    case(
        "recipients asked too \
     early",
        &[("client", "check_recipient_access table:recipients")],
        RECIPIENTS,
    ),
    case(
        "keys of clients",
        &[(
            "client",
            "check_client_access \
     table:clients",
        )],
        &[ONE],
    )
    .from(CLIENTS),
    case(
        "domains of \
     clients",
        &[("client", "check_client_access table:parents")],
        &[ONE],
    )
    .from(CLIENTS),
    case(
        "networks of \
     clients",
        &[("client", "check_client_access table:octets")],
        &[ONE],
    )
    .from(CLIENTS),
    case("cidr", &[("client", "check_client_access table:networks, reject")], &[ONE]).from(CLIENTS),
    case(
        "cidr in recipient",
        &[(
            "recipient",
            "check_client_access table:networks, \
     reject",
        )],
        &[ONE],
    )
    .from(CLIENTS),
    case("a cidr table alone", &[("client", "table:networks")], &[ONE]).from(CLIENTS),
    case("keys of HELO", &[("helo", "check_helo_access table:names")], &[MAIL, ONE]).each(HELOS),
    case("patterns for HELO", &[("helo", "check_helo_access table:patterns")], &[MAIL, ONE])
        .differs(&[differs(
            ONE,
            "554 5.7.1 <EXACT.example>: Helo command rejected: helo exact",
            "554 5.7.1 <EXACT.example>: Helo command rejected: helo EXACT",
            LOWER_CASE,
        )])
        .each(HELOS),
    case(
        "a HELO table in \
     recipient",
        &[("recipient", "check_helo_access table:names, reject")],
        &[MAIL, ONE],
    )
    .each(HELOS),
    case(
        "a HELO table, warned \
     of",
        &[("helo", "warn_if_reject check_helo_access table:names")],
        &[MAIL, ONE],
    )
    .each(HELOS),
];

#[test]
fn replies_are_those_of_postfix() {
    machine_within(Duration::from_secs(180), |machine| compare_all(machine, CASES, TABLES));
}
