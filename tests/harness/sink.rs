//! A next hop whose every octet and every answer is the test's: what smtp-sink can't show or do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::mail::Mail;
use crate::wait::until;

/// A listening next hop. Content is kept octet by octet, but for the dots that SMTP doubles; only
/// CRLF.CRLF ends it, and only CRLF ends a line.
pub struct Sink {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    mail: Mutex<Vec<Mail>>,
    answers: Mutex<Vec<(String, String)>>,
    connections: Mutex<Vec<TcpStream>>,
    keywords: Mutex<Vec<String>>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    handshakes: Mutex<Vec<Handshake>>,
    heard: Mutex<Vec<String>>,
    /// Of each message, whether it came under TLS.
    secured: Mutex<Vec<bool>>,
    /// Whether the end of data waits for its answer, and how many wait.
    pause: Mutex<(bool, usize)>,
    resumed: Condvar,
    stopped: AtomicBool,
}

/// A handshake that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The client went on with a session of before.
    pub resumed: bool,
    /// The name that it asked for.
    pub name: Option<String>,
    /// It showed a certificate.
    pub certified: bool,
}

impl Sink {
    /// Listens on `ADDRESS:PORT`. Offers PIPELINING, 8BITMIME and SMTPUTF8.
    pub fn start(address: &str) -> Self {
        let listener =
            TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        *shared.keywords.lock().unwrap() =
            ["PIPELINING", "8BITMIME", "SMTPUTF8"].map(str::to_owned).to_vec();
        let to = shared.clone();
        let listener = Arc::new(listener);
        let accepting = listener.clone();
        let listening = std::thread::spawn(move || {
            for stream in accepting.incoming() {
                if to.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(again) = stream.try_clone() {
                    to.connections.lock().unwrap().push(again);
                }
                let to = to.clone();
                // A client that goes away ends its session, and nothing else.
                std::thread::spawn(move || to.session(&stream));
            }
        });
        Self { address, listener, shared, listening: Some(listening) }
    }

    /// From now on a command that begins so (in any case; `.` is the end of data, `` the greeting)
    /// is answered with this.
    pub fn answer(&self, command: &str, reply: &str) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.retain(|(old, _)| old != command);
        answers.push((command.to_owned(), reply.to_owned()));
    }

    /// From now on the usual answers.
    pub fn answer_as_usual(&self) {
        self.shared.answers.lock().unwrap().clear();
    }

    /// From now on the end of data is not answered before [`Sink::resume`].
    pub fn pause(&self) {
        self.shared.pause.lock().unwrap().0 = true;
    }

    /// Answers whoever waits, and whoever comes.
    pub fn resume(&self) {
        self.shared.pause.lock().unwrap().0 = false;
        self.shared.resumed.notify_all();
    }

    /// Waits until so many clients wait for the answer to their end of data.
    pub fn wait_for_paused(&self, count: usize) {
        let what = format!("{count} clients to wait at {}", self.address);
        until(&what, || (self.shared.pause.lock().unwrap().1 >= count).then_some(()));
    }

    /// From now on STARTTLS is offered.
    pub fn secure(&self, tls: &Arc<ServerConfig>) {
        *self.shared.tls.lock().unwrap() = Some(tls.clone());
    }

    /// The handshakes so far.
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.shared.handshakes.lock().unwrap().clone()
    }

    /// Every command so far, and what else was said but content.
    pub fn heard(&self) -> Vec<String> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Of each message so far, whether it came under TLS.
    pub fn secured(&self) -> Vec<bool> {
        self.shared.secured.lock().unwrap().clone()
    }

    /// The keywords of EHLO.
    pub fn keywords(&self, keywords: &[&str]) {
        *self.shared.keywords.lock().unwrap() =
            keywords.iter().map(|&word| word.to_owned()).collect();
    }

    /// How many messages were taken.
    pub fn count(&self) -> usize {
        self.shared.mail.lock().unwrap().len()
    }

    /// The messages so far.
    pub fn taken(&self) -> Vec<Mail> {
        self.shared.mail.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    /// Waits for so many messages; fails if there are more.
    pub fn mail(&self, count: usize) -> Vec<Mail> {
        let what = format!("{count} messages at {}", self.address);
        until(&what, || {
            let mail = self.shared.mail.lock().unwrap();
            assert!(
                mail.len() <= count,
                "{} messages instead of {count} at {}: {mail:#?}",
                mail.len(),
                self.address
            );
            (mail.len() == count).then(|| mail.clone())
        })
    }

    /// The one message that comes.
    pub fn one(&self) -> Mail {
        self.mail(1).remove(0)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener, whose next accept fails.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn session(&self, stream: &TcpStream) -> io::Result<()> {
        let mut input = BufReader::new(stream);
        self.say(&mut input, "220 sink ESMTP", "")?;
        let Some(tls) = self.talk(&mut input, false)? else { return Ok(()) };
        let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
        let mut input = BufReader::new(StreamOwned::new(connection, stream));
        let secured = input.get_mut();
        secured.conn.complete_io(&mut secured.sock)?;
        self.handshakes.lock().unwrap().push(Handshake {
            resumed: secured.conn.handshake_kind() == Some(HandshakeKind::Resumed),
            name: secured.conn.server_name().map(str::to_owned),
            certified: secured.conn.peer_certificates().is_some(),
        });
        self.talk(&mut input, true).map(|_| ())
    }

    /// The usual answer, or the one that the test has for this command; whether it is a good one.
    fn say<S: Read + Write>(
        &self,
        input: &mut BufReader<S>,
        usual: &str,
        command: &str,
    ) -> io::Result<bool> {
        let answer = self.scripted(command);
        let reply = answer.as_deref().unwrap_or(usual);
        input.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        input.get_mut().flush()?;
        Ok(reply.starts_with(['2', '3']))
    }

    /// The dialogue up to its end, or to a handshake.
    fn talk<S: Read + Write>(
        &self,
        input: &mut BufReader<S>,
        secured: bool,
    ) -> io::Result<Option<Arc<ServerConfig>>> {
        let offered = self.tls.lock().unwrap().clone().filter(|_| !secured);
        let mut mail: Option<Mail> = None;
        while let Some(line) = line(input)? {
            let line = String::from_utf8_lossy(&line).into_owned();
            self.heard.lock().unwrap().push(line.clone());
            let upper = line.to_ascii_uppercase();
            if upper.starts_with("EHLO") {
                let mut keywords = self.keywords.lock().unwrap().clone();
                keywords.extend(offered.is_some().then(|| "STARTTLS".to_owned()));
                let lines = [&["sink".to_owned()], &keywords[..]].concat().join("\r\n250-");
                self.say(input, &format!("250-{lines}\r\n250 HELP"), &line)?;
            } else if upper == "STARTTLS" && offered.is_some() {
                if self.say(input, "220 2.0.0 go", &line)? {
                    return Ok(offered);
                }
            } else if upper.starts_with("MAIL FROM:") {
                if self.say(input, "250 2.1.0 Ok", &line)? {
                    mail = Some(Mail {
                        sender: address(&line),
                        recipients: Vec::new(),
                        arguments: vec![line[10..].to_owned()],
                        content: Vec::new(),
                    });
                }
            } else if upper.starts_with("RCPT TO:") {
                if self.say(input, "250 2.1.5 Ok", &line)?
                    && let Some(mail) = &mut mail
                {
                    mail.recipients.push(address(&line));
                    mail.arguments.push(line[8..].to_owned());
                }
            } else if upper == "DATA" {
                let empty = mail.as_ref().is_none_or(|mail| mail.recipients.is_empty());
                let usual = if empty { "503 5.5.1 nobody to send it to" } else { "354 go on" };
                if !self.say(input, usual, &line)? {
                    continue;
                }
                let Some(mut whole) = mail.take() else { continue };
                whole.content = content(input)?;
                self.wait_for_resume();
                if self.scripted(".").is_none() {
                    // Before the answer: whoever heard it may look.
                    self.secured.lock().unwrap().push(secured);
                    self.mail.lock().unwrap().push(whole);
                }
                self.say(input, "250 2.0.0 taken", ".")?;
            } else if upper == "QUIT" {
                self.say(input, "221 2.0.0 bye", &line)?;
                return Ok(None);
            } else {
                if upper == "RSET" {
                    mail = None;
                }
                self.say(input, "250 2.0.0 Ok", &line)?;
            }
        }
        Ok(None)
    }

    fn wait_for_resume(&self) {
        let mut pause = self.pause.lock().unwrap();
        pause.1 += 1;
        while pause.0 {
            pause = self.resumed.wait(pause).unwrap();
        }
        pause.1 -= 1;
    }

    fn scripted(&self, command: &str) -> Option<String> {
        let answers = self.answers.lock().unwrap();
        let begins = |start: &str| match start {
            "" | "." => command == start,
            _ => command.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        };
        answers.iter().find(|(start, _)| begins(start)).map(|(_, reply)| reply.clone())
    }
}

/// A line without its CRLF; none at the end.
fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if line.ends_with(b"\r\n") {
            line.truncate(line.len() - 2);
            return Ok(Some(line));
        }
    }
    Ok(None)
}

fn content(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    while let Some(line) = line(input)? {
        match line.strip_prefix(b".") {
            Some(b"") => return Ok(content),
            Some(rest) => content.extend_from_slice(rest),
            None => content.extend_from_slice(&line),
        }
        content.extend_from_slice(b"\r\n");
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// `MAIL FROM:<a@b> SIZE=1` → `a@b`.
fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    inner.map_or(line, |(address, _)| address).to_owned()
}
