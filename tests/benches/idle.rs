//! Memory of connections that have said EHLO and wait.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::report::Row;
use crate::servers::{self, Server};
use crate::turns::{Series, count};
use crate::world::World;

/// What facteur must hold.
const MANY: usize = 10_000;
/// What servers with a process for each connection can be asked for.
const FEWER: usize = 2_000;
/// Connections that come and go before, for what is made once.
const FIRST: usize = 50;
/// How long a server may take to answer.
const SLOW: Duration = Duration::from_mins(1);

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    let facteur = servers::Facteur::site(world);
    let mut all = vec![row(MANY, vec![measured(&facteur, MANY, greeted)])];
    drop(facteur);
    if world.peers {
        let servers = servers::all(world);
        all.push(
            row(FEWER, servers.iter().map(|server| measured(&**server, FEWER, greeted)).collect())
                .against(&["Postfix"]),
        );
    }
    all
}

fn row(connections: usize, series: Vec<Series>) -> Row {
    Row::new(&format!("memory (PSS) of one of {connections} idle connections"), "KiB", series)
}

/// The memory of one of so many connections, each opened by `open` to the server's address.
pub fn measured<C>(server: &dyn Server, connections: usize, open: impl Fn(&str) -> C) -> Series {
    let opened = |count: usize| (0..count).map(|_| open(server.address())).collect::<Vec<_>>();
    drop(opened(FIRST));
    // At rest, with the first ones gone.
    server.processes().cpu_at_rest();
    let before = server.processes().memory();
    let all = opened(connections);
    server.processes().cpu_at_rest();
    let more = server.processes().memory().saturating_sub(before);
    drop(all);
    #[allow(clippy::cast_precision_loss, reason = "KiB are far below 2^52")]
    let more = more as f64;
    Series::once(server.name(), more / count(connections))
}

fn greeted(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a server takes connections");
    stream.set_read_timeout(Some(SLOW)).expect("a timeout can be set");
    let mut lines = BufReader::new(&stream);
    let mut reply = || {
        let mut line = String::new();
        while !line.starts_with('2') || line.get(3..4) != Some(" ") {
            line.clear();
            assert!(lines.read_line(&mut line).expect("a server answers") > 0, "{address} hung up");
            assert!(line.starts_with('2'), "{address} said {line}");
        }
    };
    reply();
    (&stream).write_all(b"EHLO stranger.example.net\r\n").expect("a server reads");
    reply();
    stream
}
