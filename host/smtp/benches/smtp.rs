//! What the protocol costs, without sockets: commands, content, a whole transaction.

#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that fails may panic")]

use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use facteur_smtp::{Address, Event, Reply, Server, ServerConfig, ServerLimits, Stuffer};

/// Octets of the usual message of mail benchmarks.
const MESSAGE: usize = 4096;
/// Octets of a large one.
const LARGE: usize = 1 << 20;

fn main() {
    divan::main();
}

fn config() -> Arc<ServerConfig> {
    // A bench says NOOP more often than any client may.
    let limits = ServerLimits { junk_commands: u32::MAX, ..ServerLimits::default() };
    Arc::new(ServerConfig { hostname: "mx.example".into(), limits, ..ServerConfig::default() })
}

/// A server past EHLO.
fn server(config: &Arc<ServerConfig>) -> Server {
    let mut server = Server::new(config.clone());
    server.greet(&Reply::plain(220, "mx.example ESMTP"));
    say(&mut server, b"EHLO client.example\r\n");
    server
}

/// Sends, accepts everything, and takes the replies; returns how much content came.
fn say(server: &mut Server, bytes: &[u8]) -> usize {
    let mut content = 0;
    server.receive(bytes);
    while let Some(event) = server.poll() {
        if let Event::Body(body) = &event {
            content += body.len();
        }
        if let Some(acceptance) = event.acceptance() {
            server.reply(&acceptance);
        }
    }
    black_box(std::mem::take(server.output()));
    assert!(!server.wants_close(), "a session that is over has nothing to measure");
    content
}

/// Lines of 76 octets with this start, and what comes after them.
fn lines(octets: usize, start: &str, end: &str) -> Vec<u8> {
    let line = format!("{start}{}\r\n", "x".repeat(74 - start.len()));
    let mut text = line.repeat(octets / line.len());
    text.push_str(end);
    text.into_bytes()
}

#[divan::bench]
fn address() -> Address {
    black_box("first.last+extension@mail.example.org").parse().unwrap()
}

#[divan::bench]
fn command_noop(bencher: Bencher) {
    let mut server = server(&config());
    bencher.bench_local(|| say(&mut server, black_box(b"NOOP\r\n")));
}

/// MAIL and RSET, so that the transaction is over.
#[divan::bench]
fn commands_mail_and_rset(bencher: Bencher) {
    let mut server = server(&config());
    let commands = b"MAIL FROM:<first.last@sender.example> SIZE=4096 BODY=8BITMIME\r\nRSET\r\n";
    bencher.counter(ItemsCount::new(2_u32)).bench_local(|| say(&mut server, black_box(commands)));
}

/// Content that is passed on as it comes, and content whose every line begins with a dot.
#[divan::bench(args = ["clean", "dots"])]
fn content(bencher: Bencher, kind: &str) {
    let config = config();
    let content = lines(LARGE, if kind == "dots" { ".." } else { "" }, "");
    bencher
        .counter(BytesCount::of_slice(&content))
        .with_inputs(|| {
            let mut server = server(&config);
            say(&mut server, b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
            server
        })
        .bench_local_values(|mut server| {
            // As it is read from a socket.
            let taken: usize = content.chunks(16 << 10).map(|chunk| say(&mut server, chunk)).sum();
            (taken, server)
        });
}

/// One recipient and 4 KiB, on a session that goes on.
#[divan::bench]
fn transaction(bencher: Bencher) {
    let mut server = server(&config());
    let content = lines(MESSAGE, "", ".\r\n");
    bencher.counter(BytesCount::of_slice(&content)).bench_local(|| {
        say(&mut server, b"MAIL FROM:<a@b.example> SIZE=4096\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        say(&mut server, &content)
    });
}

/// The way out: the same content, stuffed.
#[divan::bench]
fn stuffing(bencher: Bencher) {
    let content = lines(LARGE, "", "");
    bencher.counter(BytesCount::of_slice(&content)).bench_local(|| {
        let mut output = bytes::BytesMut::with_capacity(2 * LARGE);
        let mut stuffer = Stuffer::new();
        stuffer.write(black_box(&content), &mut output);
        stuffer.finish(&mut output);
        output
    });
}
