//! Floods: whatever strangers send, and however much of it, the mail of another client is taken
//! meanwhile. How many connections there may be is in `pressure`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Machine, letter, machine_within, maildir, until,
};

use crate::pressure::start_with_files;

const SERVER: &str = "127.0.0.1:25";
/// Commands that are sent ahead of any reply.
const PIPELINE: usize = 100_000;
/// A line without an end, in octets.
const LINE: usize = 10_000_000;
/// Messages of the other client while a flood goes on.
const MESSAGES: usize = 20;
/// Far from any time limit: what it takes is milliseconds.
const PROMPT: Duration = Duration::from_secs(5);

/// What floods: the octets of one connection; they are sent until the server ends it, again and
/// again.
struct Flood {
    name: &'static str,
    octets: Vec<u8>,
    /// Whether replies are read.
    reads: bool,
}

fn floods() -> [Flood; 7] {
    let envelope = "EHLO x\r\nMAIL FROM:<a@flood.test>\r\nRCPT TO:<admin@local.test>\r\n";
    let all = |name, text: String, reads| Flood { name, octets: text.into_bytes(), reads };
    let unknown = "RCPT TO:<nobody-here@local.test>\r\n".repeat(PIPELINE);
    let endless = "x".repeat(LINE);
    [
        all("a pipeline of commands", "NOOP\r\n".repeat(PIPELINE), true),
        all("a pipeline whose replies nobody reads", "EHLO x\r\n".repeat(PIPELINE), false),
        all("recipients that are refused", format!("{envelope}{unknown}"), true),
        all("a command without an end", endless.clone(), true),
        all("a line of content without an end", format!("{envelope}DATA\r\n{endless}"), true),
        all(
            "headers without an end",
            format!("{envelope}DATA\r\n{}", "X: y\r\n".repeat(PIPELINE)),
            true,
        ),
        all(
            "a chunk that is larger than all",
            format!("{envelope}BDAT 4000000000\r\n{endless}"),
            true,
        ),
    ]
}

impl Flood {
    /// Floods until it is told to stop, by one connection after the other; counts what was sent.
    fn run(&self, over: &AtomicBool, sent: &AtomicU64) {
        while !over.load(Ordering::Relaxed) {
            let Ok(mut stream) = TcpStream::connect(SERVER) else { continue };
            stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let reads = self.reads;
            std::thread::scope(|scope| {
                let reading = scope.spawn(move || {
                    // Whoever reads nothing stays there.
                    let read = reads.then(|| std::io::copy(&mut reader, &mut std::io::sink()));
                    until("the end", || {
                        (read.is_some() || over.load(Ordering::Relaxed)).then_some(())
                    });
                });
                self.send(&mut stream, over, sent);
                // The server sees the end of it, and ends.
                let _ = stream.shutdown(Shutdown::Write);
                reading.join().unwrap();
            });
        }
    }

    fn send(&self, stream: &mut TcpStream, over: &AtomicBool, sent: &AtomicU64) {
        let mut rest = &self.octets[..];
        while !rest.is_empty() && !over.load(Ordering::Relaxed) {
            match stream.write(&rest[..rest.len().min(1 << 16)]) {
                Ok(length) => {
                    sent.fetch_add(length as u64, Ordering::Relaxed);
                    rest = &rest[length..];
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Clients that do nothing, or stop in the middle of a message.
fn idle(clients: usize) -> Vec<TcpStream> {
    let start = |number: usize| {
        let mut stream = TcpStream::connect(SERVER).unwrap();
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"220 ", "client {number}");
        if number.is_multiple_of(2) {
            let begun =
                "EHLO x\r\nMAIL FROM:<a@flood.test>\r\nRCPT TO:<admin@local.test>\r\nDATA\r\nSub";
            stream.write_all(begun.as_bytes()).unwrap();
        }
        stream
    };
    (0..clients).map(start).collect()
}

/// Each flood by so many connections, beside so many idle clients.
fn mail_is_taken_meanwhile(machine: &Machine, facteur: &Facteur, each: usize, idle_clients: usize) {
    let _ = machine;
    let _idle = idle(idle_clients);
    let mut count = 0;
    for flood in floods() {
        let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let longest = std::thread::scope(|scope| {
            for _ in 0..each {
                scope.spawn(|| flood.run(&over, &sent));
            }
            until("the flood", || (sent.load(Ordering::Relaxed) > 100_000).then_some(()));
            let mut longest = Duration::ZERO;
            for _ in 0..MESSAGES {
                let start = Instant::now();
                let mut client = Client::connect("127.0.0.1", SERVER);
                client.ehlo();
                client.deliver("a@sender.test", &["louen@local.test"], &letter("meanwhile"));
                longest = longest.max(start.elapsed());
            }
            over.store(true, Ordering::Relaxed);
            longest
        });
        count += MESSAGES;
        println!("{}: {longest:?} at most, {} MB sent", flood.name, sent.into_inner() / 1_000_000);
        assert!(longest < PROMPT, "{}: a message took {longest:?}", flood.name);
    }
    maildir("/var/mail/louen", count);
    println!("{} MB of memory at most", facteur.memory("VmHWM") / 1024);
    // A pool for plugins is most of it.
    assert!(facteur.memory("VmHWM") < 400 * 1024, "{} KiB", facteur.memory("VmHWM"));
}

#[test]
fn mail_is_taken_during_floods() {
    machine_within(Duration::from_secs(120), |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let config = Gateway::default().write(machine, "floods");
        let facteur = Facteur::start(machine, &config);
        mail_is_taken_meanwhile(machine, &facteur, 5, 1_000);
    });
}

#[test]
fn mail_is_taken_during_floods_with_256_files() {
    machine_within(Duration::from_secs(120), |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let config = Gateway::default().write(machine, "floods");
        let facteur = start_with_files(machine, &config, 256);
        mail_is_taken_meanwhile(machine, &facteur, 3, 20);
    });
}
