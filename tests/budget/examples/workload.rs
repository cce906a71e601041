//! Does one piece of work so many times: the program under test of `tests/work/instructions.rs`,
//! run under callgrind.
//!
//! `workload NAME COUNT FOLDER`. What it prepares doesn't hang on the count.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test that runs it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use facteur::config::{Format, TableSource};
use facteur::tables::Tables;
use facteur_budget::site;
use facteur_smtp::{
    Client, ClientEvent, Envelope, EnvelopeRecipient, Event, Reply, Server, ServerConfig,
    ServerLimits,
};
use facteur_spool::{
    MessageHead, MessageId, NewMessage, RecipientHead, Spool, SpoolConfig, Timestamp,
};

/// Octets of a message.
const MESSAGE: usize = 4096;
/// Entries of a table.
const ENTRIES: usize = 1_000;
/// Of a table of patterns, which are compiled one by one.
const PATTERNS: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count, folder] = arguments.as_slice() else {
        panic!("usage: workload NAME COUNT FOLDER")
    };
    let (count, folder) = (count.parse().unwrap(), Path::new(folder));
    match name.as_str() {
        "smtp-transaction" => smtp_transaction(count),
        "smtp-client" => smtp_client(count),
        "spool-insert" => spool_insert(count, folder),
        "find-texthash" => {
            find(count, folder, ENTRIES, Format::Texthash, |name| format!("{name} value"));
        }
        "find-aliases" => {
            find(count, folder, ENTRIES, Format::Aliases, |name| format!("{name}: value"));
        }
        "find-regexp" => {
            find(count, folder, PATTERNS, Format::Regexp, |name| format!("/^{name}$/ value"));
        }
        other => panic!("there is no work named {other}"),
    }
}

/// One recipient and one message, on a session that goes on.
fn smtp_transaction(count: usize) {
    let limits = ServerLimits::default();
    let config = ServerConfig { hostname: "mx.test".into(), limits, ..ServerConfig::default() };
    let mut server = Server::new(Arc::new(config));
    server.greet(&Reply::plain(220, "mx.test ESMTP"));
    say(&mut server, b"EHLO client.test\r\n");
    let content = [&site::content(MESSAGE)[..], b".\r\n"].concat();
    for _ in 0..count {
        say(&mut server, b"MAIL FROM:<a@b.test> SIZE=4096\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
        say(&mut server, &content);
    }
}

fn say(server: &mut Server, bytes: &[u8]) {
    server.receive(bytes);
    while let Some(event) = server.poll() {
        if let Some(acceptance) = event.acceptance() {
            server.reply(&acceptance);
        }
        black_box::<Event>(event);
    }
    black_box(std::mem::take(server.output()));
}

/// The same on the way out: the host's client says it to a server whose replies are written down.
fn smtp_client(count: usize) {
    let mut client = Client::new("client.test", "server.test");
    hear(&mut client, b"220 mx.test ESMTP\r\n");
    hear(&mut client, b"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n");
    let envelope = Envelope {
        sender: Some("a@b.test".parse().unwrap()),
        size: MESSAGE as u64,
        utf8: false,
        eight_bit: false,
        ret: None,
        envid: None,
        recipients: vec![EnvelopeRecipient {
            address: "c@d.test".parse().unwrap(),
            notify: None,
            orcpt: None,
        }],
    };
    let content = site::content(MESSAGE);
    let mut finished = 0;
    for _ in 0..count {
        client.start(&envelope);
        for event in hear(&mut client, b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go on\r\n") {
            assert!(matches!(event, ClientEvent::SendBody), "{event:?}");
            client.body(&content);
            client.end_of_body();
        }
        finished += hear(&mut client, b"250 2.0.0 Ok\r\n").len();
    }
    assert_eq!(finished, count);
}

fn hear(client: &mut Client, bytes: &[u8]) -> Vec<ClientEvent> {
    black_box(std::mem::take(client.output()));
    client.receive(bytes);
    std::iter::from_fn(|| client.poll())
        .filter(|event| !matches!(event, ClientEvent::Ready(_)))
        .collect()
}

/// One message after the other, each in a commit of its own, with the spool's own threads.
fn spool_insert(count: usize, folder: &Path) {
    let config = SpoolConfig::new(folder.join("spool"));
    let spool = Spool::open(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = Bytes::from(site::content(MESSAGE));
    for number in 0..count {
        // Names and times that are the same in every run.
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let recipient = RecipientHead::new("user@example.org".parse().unwrap(), "relay");
        let message = NewMessage {
            head: MessageHead {
                sender: Some("sender@example.org".parse().unwrap()),
                header: Bytes::from_static(b"Received: from budget\r\n"),
                ..MessageHead::new(MessageId::from_bytes(id), spool.queue_id(), Timestamp(1))
            },
            body: body.clone().into(),
            hold: None,
            recipients: vec![recipient],
        };
        runtime.block_on(spool.insert(message)).unwrap();
    }
}

/// Looks into a table with so many entries, at each in turn.
fn find(count: usize, folder: &Path, entries: usize, format: Format, line: fn(&str) -> String) {
    let name = |number: usize| format!("entry{number:04}@local.test");
    let text = (0..entries).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", line(&name(number))).unwrap();
        text
    });
    let path = folder.join("table");
    std::fs::write(&path, text).unwrap();
    let source = TableSource::File { path, format };
    let (tables, errors) = Tables::open(&BTreeMap::from([("t".to_owned(), source)]), None);
    assert!(errors.is_empty(), "{errors:?}");
    let keys: Vec<String> = (0..entries).map(name).collect();
    for number in 0..count {
        // Half the patterns are tried before the one that fits, on the average over few as over
        // many.
        let key = &keys[number * entries / count];
        assert!(black_box(tables.find("t", &[key])).unwrap().is_some(), "{key}");
    }
}
