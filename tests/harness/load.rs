//! Many clients at once that remember which of their messages were answered 250.
//!
//! Messages are numbered and each is sent once, whatever becomes of it: what got no answer is in
//! doubt, and stays so. A client whose server is gone comes back as soon as there is one again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::mail::Mail;
use crate::wait::within;

/// The sender of every message.
pub const LOAD_SENDER: &str = "load@sender.test";
/// How long a server may be gone, and how long it may think.
const GONE: Duration = Duration::from_secs(60);
/// Between two attempts to connect to a server that is gone.
const PAUSE: Duration = Duration::from_millis(5);

/// One of two sizes of a test: the second with `FACTEUR_TEST_LONG=1` in the environment.
pub fn sized<T>(short: T, long: T) -> T {
    if std::env::var_os("FACTEUR_TEST_LONG").is_some_and(|value| value == "1") {
        long
    } else {
        short
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub struct Plan {
    /// `ADDRESS:PORT`.
    pub to: &'static str,
    /// Clients at once.
    pub clients: usize,
    /// Messages in all.
    pub messages: usize,
    /// Where a message goes, by its number.
    pub recipient: fn(usize) -> String,
    /// How many octets it has at least, by its number.
    pub size: fn(usize) -> usize,
}

/// What clients heard.
#[derive(Debug, Default, Clone)]
pub struct Heard {
    /// The numbers that were answered 250 at the end of data.
    pub taken: BTreeSet<usize>,
    /// Numbers that were refused or not answered, and what was heard instead.
    pub others: BTreeMap<usize, String>,
    /// The last words of each session that the server ended.
    pub ends: Vec<String>,
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    plan: Plan,
    next: AtomicUsize,
    stop: AtomicBool,
    heard: Mutex<Heard>,
}

/// What a session ended with.
enum End {
    /// All is sent.
    Done,
    /// Before a greeting: the connection was never taken by the program.
    Nobody,
    /// The server's last words, or the error.
    Gone(String),
}

impl Load {
    /// Starts the clients.
    pub fn start(plan: Plan) -> Self {
        let shared = Arc::new(Shared {
            plan,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            heard: Mutex::default(),
        });
        let client = |_| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.client())
        };
        Self { clients: (0..plan.clients).map(client).collect(), shared }
    }

    /// How many messages were answered 250 so far.
    pub fn taken(&self) -> usize {
        self.shared.heard.lock().unwrap().taken.len()
    }

    /// Waits for so many 250.
    pub fn wait_for(&self, taken: usize) {
        within(GONE, &format!("{taken} messages to be taken"), || {
            (self.taken() >= taken).then_some(())
        });
    }

    /// Lets the clients end after the messages that they are at.
    pub fn stop(self) -> Heard {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits until all is sent.
    pub fn finish(self) -> Heard {
        for client in self.clients {
            client.join().expect("a client of the load");
        }
        self.shared.heard.lock().unwrap().clone()
    }
}

impl Shared {
    fn client(&self) {
        let mut since = Instant::now();
        while !self.over() {
            assert!(since.elapsed() < GONE, "nobody listened on {} for {GONE:?}", self.plan.to);
            let Ok(stream) = self.connect() else {
                std::thread::sleep(PAUSE);
                continue;
            };
            since = Instant::now();
            match self.session(&stream) {
                End::Done => return,
                End::Nobody => std::thread::sleep(PAUSE),
                End::Gone(words) => self.heard.lock().unwrap().ends.push(words),
            }
        }
    }

    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.next.load(Ordering::Relaxed) >= self.plan.messages
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let to: SocketAddr = self.plan.to.parse().expect("an address and port");
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(GONE))?;
        Ok(stream)
    }

    fn session(&self, stream: &TcpStream) -> End {
        let mut input = BufReader::new(stream);
        match reply(&mut input) {
            Ok(reply) if reply.starts_with('2') => {}
            Ok(reply) => return End::Gone(reply),
            Err(_) => return End::Nobody,
        }
        // Whatever goes wrong with a write is heard in place of the answer.
        let _ = (&*stream).write_all(b"EHLO load.test\r\n");
        match reply(&mut input) {
            Ok(reply) if reply.starts_with('2') => {}
            other => return End::Gone(words(other)),
        }
        while !self.over() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.messages {
                break;
            }
            let heard = self.message(stream, &mut input, number);
            let mut all = self.heard.lock().unwrap();
            match heard {
                Ok(reply) if reply.starts_with("250") => drop(all.taken.insert(number)),
                other => {
                    let words = words(other);
                    all.others.insert(number, words.clone());
                    if words.starts_with('2')
                        || (words.starts_with(['4', '5']) && !words.starts_with("421"))
                    {
                        continue;
                    }
                    return End::Gone(words);
                }
            }
        }
        let _ = (&*stream).write_all(b"QUIT\r\n");
        End::Done
    }

    /// Sends one message; returns the reply to its end, or the first one that wasn't good.
    fn message(
        &self,
        mut stream: &TcpStream,
        input: &mut impl BufRead,
        number: usize,
    ) -> io::Result<String> {
        let recipient = (self.plan.recipient)(number);
        let envelope = format!("MAIL FROM:<{LOAD_SENDER}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
        let _ = stream.write_all(envelope.as_bytes());
        let mut bad = None;
        for _ in 0..3 {
            let reply = reply(input)?;
            if reply.starts_with("421") {
                return Ok(reply);
            }
            if bad.is_none() && !reply.starts_with(['2', '3']) {
                bad = Some(reply);
            }
        }
        if let Some(bad) = bad {
            let _ = stream.write_all(b"RSET\r\n");
            reply(input)?;
            return Ok(bad);
        }
        let mut content = numbered(number, (self.plan.size)(number));
        content.extend_from_slice(b".\r\n");
        let _ = stream.write_all(&content);
        reply(input)
    }
}

/// The words of a reply, or of an error.
fn words(reply: io::Result<String>) -> String {
    reply.unwrap_or_else(|error| error.to_string())
}

/// One reply; its lines are parted by `\n`.
fn reply(input: &mut impl BufRead) -> io::Result<String> {
    let mut whole = String::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let more = line.get(3..4) == Some("-");
        whole.push_str(line.trim_end());
        if !more {
            return Ok(whole);
        }
        whole.push('\n');
    }
}

/// The content of a numbered message, of at least so many octets. Different numbers differ in every
/// line.
pub fn numbered(number: usize, size: usize) -> Vec<u8> {
    let mut text = format!(
        "Subject: load {number}\r\nFrom: a@sender.test\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n\
         Message-ID: <{number}@sender.test>\r\n\r\n"
    );
    let mut line = 0;
    while line == 0 || text.len() < size {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "message {number}, line {line}: the quick brown fox jumps over the lazy dog\r\n"
        );
        line += 1;
    }
    text.into_bytes()
}

/// How often each number arrived. Every message must be whole: the octets that were sent, in CRLF
/// or LF, below the servers' headers.
pub fn arrived(mails: &[Mail], size: fn(usize) -> usize) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for mail in mails {
        let subject = mail.header("Subject").unwrap_or_default();
        let number = subject.strip_prefix("load ").and_then(|number| number.parse().ok());
        let number: usize =
            number.unwrap_or_else(|| panic!("no message of the load:\n{}", mail.text()));
        let mut sent = numbered(number, size(number));
        if !mail.content.windows(2).any(|two| two == b"\r\n") {
            sent.retain(|&octet| octet != b'\r');
        }
        assert!(mail.content.ends_with(&sent), "message {number} isn't whole:\n{}", mail.text());
        *counts.entry(number).or_default() += 1;
    }
    counts
}
