//! What access tables do to the message: what arrives at the next hop is compared, and what is
//! held.

use facteur_tests::{Sink, machine, until};

use super::*;

const TABLES: &[Table] = &[Table {
    name: "actions",
    format: "texthash",
    text: "\
none@r.example DUNNO
hold@r.example HOLD look at it
discard@r.example DISCARD
redirect@r.example REDIRECT other@known.example
bcc@r.example BCC copy@known.example
prepend@r.example PREPEND X-Seen: yes: it is
<> PREPEND X-Bounce: yes
warn@r.example WARN hm
",
}];

const ACTIONS: Case = case("actions", &[("data", "check_sender_access table:actions")], &[]);
/// Asked for each recipient by Postfix, once a transaction by facteur.
const BY_SENDER: Case =
    case("actions by sender", &[("sender", "check_sender_access table:actions")], &[]);

const SENDERS: [&str; 8] = [
    "none@r.example",
    "hold@r.example",
    "discard@r.example",
    "redirect@r.example",
    "bcc@r.example",
    "prepend@r.example",
    "",
    "warn@r.example",
];
/// None for what is held or discarded; a copy is a delivery of its own or a recipient more.
const COPIES: usize = 2 * (SENDERS.len() - 2);

/// What the next hop got of a message: its envelope, and the header fields that tables added.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrived {
    sender: String,
    recipients: Vec<String>,
    added: Vec<(String, String)>,
}

/// A message of each sender to both services; what arrives of them.
fn sent(server: &str, sink: &Sink) -> Vec<Arrived> {
    for port in [FIRST_PORT, FIRST_PORT + 1] {
        let mut client = Client::connect(TRUSTED, &format!("{server}:{port}"));
        client.ehlo();
        for sender in SENDERS {
            client.envelope(sender, &["x@known.example"]);
            let reply = client.content(b"Subject: x\r\n\r\nx\r\n");
            assert_eq!(reply.code, 250, "{sender}: {reply}");
        }
    }
    let mut mail: Vec<_> = sink
        .mail(COPIES)
        .into_iter()
        .map(|mail| {
            let added =
                mail.headers().into_iter().filter(|(name, _)| name.starts_with("X-")).collect();
            let mut recipients = mail.recipients;
            recipients.sort();
            Arrived { sender: mail.sender, recipients, added }
        })
        .collect();
    mail.sort();
    mail
}

#[test]
fn actions_are_those_of_postfix() {
    machine(|machine| {
        machine.addresses(&["192.0.2.9", "192.0.2.10"]);
        let (our_sink, their_sink) = (Sink::start("192.0.2.9:25"), Sink::start("192.0.2.10:25"));
        let to = Transports { facteur: "smtp:[192.0.2.9]", postfix: "smtp:[192.0.2.10]" };
        let servers = Servers::start(machine, &[ACTIONS, BY_SENDER], TABLES, &to, More::default());
        assert_eq!(sent(FACTEUR, &our_sink), sent(POSTFIX, &their_sink));

        // One of each service is held, with the table's reason.
        let held = servers.facteur.queued();
        assert_eq!(held.len(), 2, "{held:?}");
        for entry in held {
            assert_eq!(entry.sender, "hold@r.example");
            assert_eq!(entry.recipients[0].state, "hold");
            assert_eq!(
                entry.reason.as_deref(),
                Some("<hold@r.example>: Sender address look at it")
            );
        }
        let listing = until("Postfix to hold them", || {
            let listing = servers.postfix.run("postqueue", &["-p"]).success();
            (listing.matches("hold@r.example").count() == 2).then_some(listing)
        });
        assert!(listing.contains('!'), "{listing}");
    });
}
