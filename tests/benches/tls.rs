//! What TLS costs: the memory of idle connections; handshakes, full and resumed; and what it leaves
//! of the rate at which messages are accepted and synced.
//!
//! A handshake is a whole session: connection, greeting, EHLO, STARTTLS, TLS 1.3, EHLO, QUIT. The
//! clients take processor time of the same machine, about as much as the server. Messages are those
//! of the bench `accepted`, sent by these clients in the clear and under TLS (full handshakes):
//! compare these rates with each other only, since smtp-source is cheaper.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use facteur_tests::{Authority, Client, Key, numbered};
use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::idle;
use crate::report::Row;
use crate::servers::{Facteur, Postfix, Server};
use crate::turns::{Contestant, Turn, by_turns};
use crate::world::{ENTRIES, HELD, MEMBER, World};

/// The name in the certificate.
const NAME: &str = "sulfura.via.ecp.fr";
/// A client that no server trusts.
const FROM: &str = "203.0.113.11";
/// Sessions at once: enough to keep a server busy.
const CLIENTS: usize = 8;
/// Sessions at once that send messages, and octets of each, as in the bench `accepted`.
const SENDERS: usize = 20;
const SIZE: usize = 4096;
/// What facteur must hold.
const IDLE: usize = 10_000;

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    Authority::new(world.machine).issue("mx", &[NAME], Key::Ecdsa);
    let facteur = Facteur::under_tls(world, &Authority::sections(&["mx"]));
    let postfix = Postfix::under_tls(
        world,
        "smtpd_tls_security_level = may\n\
         smtpd_tls_chain_files = /etc/tls/mx.key, /etc/tls/mx.pem\n",
    );
    let resumed = Authority::client(None);
    let mut full = ClientConfig::clone(&resumed);
    full.resumption = Resumption::disabled();
    let mut rows = Vec::new();
    let full = Arc::new(full);
    let servers: [&dyn Server; 2] = [&facteur, &postfix];
    for (what, tls) in [("full", full.clone()), ("resumed", resumed)] {
        let mut contestants = servers.map(|server| {
            let tls = tls.clone();
            Contestant::paced(world, server.name(), move |sessions| {
                Turn::of(sessions, server.processes(), || {
                    let start = Instant::now();
                    hold(server.address(), &tls, sessions);
                    start.elapsed()
                })
            })
        });
        let series = by_turns(world.rounds(), &mut contestants);
        rows.push(
            Row::new(&format!("handshakes, {what}"), "sessions/s", series).against(&["Postfix"]),
        );
    }
    rows.extend([("kept", true), ("each", false)].map(|(what, kept)| {
        let full = &full;
        let mut contestants = Vec::new();
        for server in servers {
            for tls in [None, Some(full)] {
                let under = if tls.is_some() { " under TLS" } else { "" };
                let who = format!("{}{under}", server.name());
                contestants.push(Contestant::paced(world, &who, move |messages| {
                    let turn = Turn::of(messages, server.processes(), || {
                        send(server.address(), tls, kept, messages)
                    });
                    assert_eq!(server.clear(), messages, "what was taken isn't all in the queue");
                    turn
                }));
            }
        }
        let series = by_turns(world.rounds(), &mut contestants);
        Row::new(&format!("accepted and synced, {what}"), "messages/s", series)
            .against(&["facteur", "Postfix under TLS"])
    }));
    drop(postfix);
    let tls = Authority::client(None);
    let connections = world.sized(IDLE / 10, IDLE);
    let series = idle::measured(&facteur, connections, |address| greeted(address, &tls));
    let what = format!("memory (PSS) of one of {connections} idle TLS connections");
    rows.push(Row::new(&what, "KiB", vec![series]));
    rows
}

/// So many sessions, some at once.
fn hold(address: &str, tls: &Arc<ClientConfig>, sessions: usize) {
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while begun.fetch_add(1, Ordering::Relaxed) < sessions {
                    let mut client = greeted(address, tls);
                    client.expect("QUIT", 221);
                }
            });
        }
    });
}

/// So many messages, some at once, each on a connection of its own or several on one.
fn send(address: &str, tls: Option<&Arc<ClientConfig>>, kept: bool, messages: usize) -> Duration {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let open = || {
        if let Some(tls) = tls {
            greeted(address, tls)
        } else {
            let mut client = Client::connect(FROM, address);
            client.ehlo();
            client
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let mut client = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= messages {
                        break;
                    }
                    let to = format!("{}{MEMBER}", number % ENTRIES + 1);
                    let sender = client.get_or_insert_with(open);
                    sender.deliver(HELD, &[&to], &numbered(number, SIZE));
                    if !kept {
                        sender.expect("QUIT", 221);
                        client = None;
                    }
                }
            });
        }
    });
    start.elapsed()
}

fn greeted(address: &str, tls: &Arc<ClientConfig>) -> Client {
    let mut client = Client::connect(FROM, address);
    client.ehlo();
    client.start_tls(tls, NAME).expect("the server agrees on TLS");
    client.ehlo();
    client
}
