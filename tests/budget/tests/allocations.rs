//! How often the whole program allocates for one message, and how many octets: the real thing,
//! served within this process to a client over loopback.
//!
//! The runtime has one thread and the log goes nowhere, so that the numbers hardly differ from run
//! to run; what does differ (a look at the disk each second, a checkpoint) the median over many
//! messages leaves out. SQLite's own memory is not Rust's, and not counted.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use facteur::config::Config;
use facteur_budget::{Ledger, site};
use facteur_tests::output_of;
use rustix::process::{Signal, getpid, kill_process};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Messages before anything is counted: caches are filled, buffers have their size.
const WARM_UP: usize = 100;
const COUNTED: usize = 301;
/// For a reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that allocates nothing while it sends.
struct Client {
    stream: TcpStream,
    buffer: [u8; 4096],
    envelope: Vec<u8>,
    content: Vec<u8>,
}

impl Client {
    fn connect(to: SocketAddr, sender: &str, recipient: &str) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let envelope =
            format!("MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n").into_bytes();
        let content = [&site::content(4096)[..], b".\r\n"].concat();
        let mut client = Self { stream, buffer: [0; 4096], envelope, content };
        client.replies(1, b"220");
        client.stream.write_all(b"EHLO client.test\r\n").unwrap();
        client.replies(1, b"250");
        client
    }

    /// Reads so many replies, the last of which must have this code.
    fn replies(&mut self, mut count: usize, code: &[u8]) {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert_ne!(
                read,
                0,
                "the server hung up after {:?}",
                String::from_utf8_lossy(&self.buffer[..filled])
            );
            filled += read;
            let mut start = 0;
            while let Some(length) =
                self.buffer[start..filled].windows(2).position(|two| two == b"\r\n")
            {
                let line = &self.buffer[start..start + length];
                start += length + 2;
                if line.get(3) == Some(&b'-') {
                    continue;
                }
                count -= 1;
                if count == 0 {
                    assert!(
                        line.starts_with(code),
                        "{}",
                        String::from_utf8_lossy(&self.buffer[..filled])
                    );
                    return;
                }
            }
            self.buffer.copy_within(start..filled, 0);
            filled -= start;
        }
    }

    fn message(&mut self) {
        self.stream.write_all(&self.envelope).unwrap();
        self.replies(3, b"354");
        self.stream.write_all(&self.content).unwrap();
        self.replies(1, b"250");
    }
}

fn median(mut counts: Vec<usize>) -> u64 {
    counts.sort_unstable();
    println!(
        "least {}, median {}, most {}",
        counts[0],
        counts[counts.len() / 2],
        counts[counts.len() - 1]
    );
    counts[counts.len() / 2].try_into().unwrap()
}

/// In a process of its own: in another time zone a `Received:` header takes other steps.
#[test]
fn budget() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "of_this_process", "--ignored", "--nocapture"]).env("TZ", "UTC0");
    let output = output_of(&mut command);
    assert!(output.code == 0 && output.out.contains("1 passed"), "{}{}", output.out, output.err);
    println!("{}", output.out);
}

#[test]
#[ignore = "run by the test above"]
fn of_this_process() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path: &Path = folder.path();
    let text = site::configuration("127.0.0.1:0", path, Some("nobody"));
    let config = Config::parse(&path.join("facteur.toml"), &text)
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    // As in the program: what it logs is made, whoever reads it.
    tracing_subscriber::fmt().with_max_level(config.log.level).with_writer(std::io::sink).init();
    let (tell, told) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ready = |addresses: &[SocketAddr]| tell.send(addresses[0]).unwrap();
        runtime.block_on(facteur::operate::serve::serve(config, None, ready)).unwrap();
    });
    let mut client = Client::connect(told.recv().unwrap(), site::HELD, site::ALIAS);
    (0..WARM_UP).for_each(|_| client.message());
    let (mut counts, mut octets) = (Vec::with_capacity(COUNTED), Vec::with_capacity(COUNTED));
    for _ in 0..COUNTED {
        let region = Region::new(ALLOCATOR);
        client.message();
        let change = region.change();
        counts.push(change.allocations + change.reallocations);
        octets.push(change.bytes_allocated);
    }
    // The program's own end, so that the folder is free when this one removes it.
    drop(client);
    kill_process(getpid(), Signal::TERM).unwrap();
    server.join().unwrap();

    let mut ledger = Ledger::open(&["allocations"]);
    ledger.enter("allocations.message", median(counts));
    ledger.enter("allocations.message-octets", median(octets));
    ledger.close();
}
