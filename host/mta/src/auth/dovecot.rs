//! Dovecot's authentication protocol, version 1.2, as a client: one connection for each exchange.
//!
//! Invariants: Dovecot's word alone lets somebody in; one that can't be reached, says what can't be
//! understood, or takes too long is "later". What it says is bounded. Its list of mechanisms is
//! asked for again once it is some seconds old.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use zeroize::Zeroizing;

use super::connection::Connection;
use crate::config::endpoint::{Endpoint, Stream};

/// How long a list of mechanisms counts.
const FRESH: Duration = Duration::from_secs(10);
/// To connect: it is near.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer. Dovecot holds back those about failures by 2 s, and asks directories.
const ANSWER: Duration = Duration::from_secs(30);
/// A line at most: a challenge of 12,288 octets, and some words.
const LINE: u64 = 16 << 10;
/// Lines of a handshake at most.
const HANDSHAKE: usize = 256;
/// The one exchange of a connection.
const ID: &str = "1";

/// Why Dovecot doesn't say who somebody is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("Dovecot at {0}: {1}")]
    Connection(Endpoint, io::Error),
    #[error("Dovecot at {0} says what isn't its protocol: {1}")]
    Protocol(Endpoint, &'static str),
    #[error("too many clients are logging in")]
    Full,
}

/// What it says of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Continue(Vec<u8>),
    Ok { user: String },
    Fail { user: Option<String>, reason: String },
    Later { user: Option<String>, reason: String },
}

/// Dovecot.
pub(super) struct Dovecot {
    endpoint: Endpoint,
    offered: Mutex<Option<(Instant, Vec<String>)>>,
    exchanges: Arc<Semaphore>,
}

impl Dovecot {
    /// `concurrency`: exchanges at once.
    pub(super) fn new(endpoint: Endpoint, concurrency: usize) -> Self {
        let exchanges = Arc::new(Semaphore::new(concurrency));
        Self { endpoint, offered: Mutex::default(), exchanges }
    }

    /// The mechanisms that it offers, but for the one by which anybody is let in.
    pub(super) async fn mechanisms(&self) -> Result<Vec<String>, Trouble> {
        let mut offered = self.offered.lock().await;
        if let Some((at, mechanisms)) = &*offered
            && at.elapsed() < FRESH
        {
            return Ok(mechanisms.clone());
        }
        let mechanisms = Link::open(&self.endpoint).await?.handshake().await?;
        *offered = Some((Instant::now(), mechanisms.clone()));
        Ok(mechanisms)
    }

    /// Begins an exchange.
    pub(super) async fn begin(
        &self,
        mechanism: &str,
        initial: Option<&[u8]>,
        connection: &Connection,
    ) -> Result<(Talk, Answer), Trouble> {
        let place = self.exchanges.clone().try_acquire_owned().map_err(|_| Trouble::Full)?;
        let mut link = Link::open(&self.endpoint).await?;
        link.handshake().await?;
        let (client, server) = (connection.client, connection.server);
        let mut line = Zeroizing::new(format!(
            "AUTH\t{ID}\t{mechanism}\tservice=smtp\tnologin\tlip={}\trip={}\tlport={}\trport={}",
            server.ip().to_canonical(),
            client.ip().to_canonical(),
            server.port(),
            client.port(),
        ));
        if connection.tls {
            line.push_str("\tsecured");
        }
        if let Some(initial) = initial {
            // The last of all, by the protocol.
            line.push_str("\tresp=");
            line.push_str(&Zeroizing::new(Base64::encode_string(initial)));
        }
        let answer = link.ask(line).await?;
        Ok((Talk { link, _place: place }, answer))
    }
}

/// An exchange under way.
pub(super) struct Talk {
    link: Link,
    _place: OwnedSemaphorePermit,
}

impl Talk {
    /// Says what the client answered.
    pub(super) async fn answer(&mut self, response: &[u8]) -> Result<Answer, Trouble> {
        let response = Zeroizing::new(Base64::encode_string(response));
        self.link.ask(Zeroizing::new(format!("CONT\t{ID}\t{}", *response))).await
    }
}

/// A connection to Dovecot.
struct Link {
    endpoint: Endpoint,
    stream: BufReader<Box<dyn Stream>>,
}

impl Link {
    async fn open(endpoint: &Endpoint) -> Result<Self, Trouble> {
        let stream = endpoint.connect(CONNECT).await;
        let stream = stream.map_err(|error| Trouble::Connection(endpoint.clone(), error))?;
        Ok(Self { endpoint: endpoint.clone(), stream: BufReader::new(stream) })
    }

    /// Says who we are, and hears which mechanisms there are.
    async fn handshake(&mut self) -> Result<Vec<String>, Trouble> {
        let hello = format!("VERSION\t1\t1\nCPID\t{}", std::process::id());
        self.write(&hello).await?;
        let mut mechanisms = Vec::new();
        for _ in 0..HANDSHAKE {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line);
            let mut words = line.split('\t');
            match (words.next(), words.next()) {
                (Some("VERSION"), Some("1")) => {}
                (Some("VERSION"), _) => return Err(self.protocol("another version")),
                (Some("MECH"), Some(name))
                    if is_mechanism(name) && !words.any(|word| word == "anonymous") =>
                {
                    mechanisms.push(name.to_ascii_uppercase());
                }
                (Some("DONE"), _) => return Ok(mechanisms),
                _ => {}
            }
        }
        Err(self.protocol("a handshake without end"))
    }

    /// Says something of the exchange, and hears the answer.
    async fn ask(&mut self, line: Zeroizing<String>) -> Result<Answer, Trouble> {
        self.write(&line).await?;
        let line = self.line().await?;
        answer(&line).map_err(|what| self.protocol(what))
    }

    async fn write(&mut self, line: &str) -> Result<(), Trouble> {
        let line = Zeroizing::new([line.as_bytes(), b"\n"].concat());
        let written = tokio::time::timeout(ANSWER, self.stream.write_all(&line)).await;
        self.done(written)
    }

    async fn line(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE);
        let read = tokio::time::timeout(ANSWER, bounded.read_until(b'\n', &mut line)).await;
        self.done(read)?;
        if line.pop() == Some(b'\n') { Ok(line) } else { Err(self.protocol("half a line")) }
    }

    fn done<T>(&self, result: Result<io::Result<T>, Elapsed>) -> Result<T, Trouble> {
        result
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| Trouble::Connection(self.endpoint.clone(), error))
    }

    fn protocol(&self, what: &'static str) -> Trouble {
        Trouble::Protocol(self.endpoint.clone(), what)
    }
}

/// Whether it can be named to clients (RFC 4422 section 3.1).
fn is_mechanism(name: &str) -> bool {
    (1..=20).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// What a line says of our exchange; the error, why it says nothing. A name that is no text is
/// somebody's who was refused, and nobody's who logs in.
fn answer(line: &[u8]) -> Result<Answer, &'static str> {
    let text = String::from_utf8_lossy(line);
    let is_text = matches!(text, Cow::Borrowed(_));
    let line = &*text;
    let mut words = line.split('\t');
    let (kind, id) = (words.next().unwrap_or_default(), words.next());
    if id != Some(ID) {
        return Err("an answer to another question");
    }
    let (mut user, mut reason, mut passing) = (None, None, false);
    if kind == "CONT" {
        let challenge = Base64::decode_vec(words.next().unwrap_or_default());
        return challenge.map(Answer::Continue).map_err(|_| "a challenge that is no base64");
    }
    for word in words {
        match word.split_once('=') {
            Some(("user", value)) => user = Some(unescaped(value)),
            Some(("reason", value)) => reason = Some(unescaped(value)),
            Some(("code", "temp_fail")) => passing = true,
            None if word == "temp" => passing = true,
            _ => {}
        }
    }
    match (kind, user) {
        ("OK", Some(user)) if is_text => Ok(Answer::Ok { user }),
        ("OK", Some(_)) => Err("somebody whose name is no text"),
        ("OK", None) => Err("somebody without a name"),
        ("FAIL", user) if passing => {
            let reason = reason.unwrap_or_else(|| "temporary failure".to_owned());
            Ok(Answer::Later { user, reason })
        }
        ("FAIL", user) => {
            let reason = reason.unwrap_or_else(|| "wrong name or password".to_owned());
            Ok(Answer::Fail { user, reason })
        }
        _ => Err("an answer of an unknown kind"),
    }
}

/// A value without its escapes: what would part words and lines stands after a \x01.
fn unescaped(value: &str) -> String {
    let mut whole = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\x01' { characters.next() } else { None }) {
            ('\x01', Some('0')) => whole.push('\0'),
            ('\x01', Some('1')) => whole.push('\x01'),
            ('\x01', Some('t')) => whole.push('\t'),
            ('\x01', Some('r')) => whole.push('\r'),
            ('\x01', Some('n')) => whole.push('\n'),
            ('\x01', other) => whole.extend(other),
            (other, _) => whole.push(other),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Binding;

    #[test]
    fn answers_are_read_and_others_are_none() {
        let owned = |text: &str| Some(text.to_owned());
        for (line, read) in [
            ("OK\t1\tuser=louen\tx=y", Ok(Answer::Ok { user: "louen".to_owned() })),
            ("OK\t1\tuser=a\x01tb", Ok(Answer::Ok { user: "a\tb".to_owned() })),
            ("CONT\t1\t", Ok(Answer::Continue(Vec::new()))),
            ("CONT\t1\tVXNlcm5hbWU6", Ok(Answer::Continue(b"Username:".to_vec()))),
            (
                "FAIL\t1\tuser=x\treason=No such",
                Ok(Answer::Fail { user: owned("x"), reason: "No such".to_owned() }),
            ),
            (
                "FAIL\t1\ttemp",
                Ok(Answer::Later { user: None, reason: "temporary failure".to_owned() }),
            ),
            (
                "FAIL\t1\tuser=x\tcode=temp_fail",
                Ok(Answer::Later { user: owned("x"), reason: "temporary failure".to_owned() }),
            ),
            ("OK\t1", Err("somebody without a name")),
            ("OK\t2\tuser=louen", Err("an answer to another question")),
            ("OK", Err("an answer to another question")),
            ("CONT\t1\t!", Err("a challenge that is no base64")),
            ("NOTFOUND\t1\tuser=louen", Err("an answer of an unknown kind")),
        ] {
            assert_eq!(answer(line.as_bytes()), read, "{line:?}");
        }
        let name = b"\t1\tuser=\xff";
        assert_eq!(answer(&[b"OK", &name[..]].concat()), Err("somebody whose name is no text"));
        let refused = answer(&[b"FAIL", &name[..]].concat()).unwrap();
        assert!(matches!(refused, Answer::Fail { user: Some(_), .. }), "{refused:?}");
    }

    /// A Dovecot that says this, whatever it hears.
    fn that_says(text: &'static str) -> (tempfile::TempDir, Dovecot) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // The other end may have gone.
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        (folder, Dovecot::new(Endpoint::Unix(path), 1))
    }

    fn connection() -> Connection {
        let address = "192.0.2.1:25".parse().unwrap();
        Connection { client: address, server: address, tls: false, binding: Binding::default() }
    }

    #[tokio::test]
    async fn whatever_it_says_nobody_is_let_in_but_by_its_word() {
        const HELLO: &str =
            "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nDONE\n";
        let (_folder, dovecot) = that_says(HELLO);
        assert_eq!(dovecot.mechanisms().await.unwrap(), ["PLAIN"]);
        for text in [
            "",
            "VERSION\t2\t0\nDONE\nOK\t1\tuser=x\n",
            "DONE\nOK\t1\tuser=x",
            "DONE\nOK\t7\tuser=x\n",
            "OK\t1\tuser=x\n",
            "DONE\nOK\t1\tuser=\u{fffd}",
        ] {
            let (_folder, dovecot) = that_says(text);
            let here = connection();
            // Where it says too little, the end of the connection is all that comes after.
            let begun = tokio::time::timeout(
                Duration::from_millis(200),
                dovecot.begin("PLAIN", Some(b"x"), &here),
            );
            assert!(!matches!(begun.await, Ok(Ok(_))), "{text:?}");
        }
    }
}
