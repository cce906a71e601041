//! One connection to a server: moves bytes between the socket and the client machine, and keeps the
//! time.
//!
//! It reads while it writes, so that a server that answers early blocks nobody. The time for a
//! reply starts anew with each reply and with nothing else: a server that trickles octets gains
//! nothing. After a failure the connection is of no use.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use facteur_smtp::{
    Capabilities, Client, ClientEvent, ClientStage, Envelope, Finished, GivenReply, Reply, status,
};
use facteur_spool::Body;
use futures_util::FutureExt as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::security::Security;
use super::stop::Doubt;
use super::targets::Target;
use super::wire::Wire;
use crate::auth::{GivenUp, Initiator};
use crate::config::SmtpTimeouts;
use crate::tls::{ClientTls, Distrust, Secured};

/// Read at once; replies are short.
const READ: usize = 4096;
/// Content that is gathered before it is written: a small message goes out with one system call.
const GATHER: usize = 64 * 1024;

/// A connection that may carry a message.
pub struct Connection {
    stream: Wire,
    client: Client,
    /// `host[address]:port`, as Postfix names a relay.
    peer: String,
    address: IpAddr,
    /// What TLS came to, if there is any.
    secured: Option<Arc<str>>,
    timeouts: SmtpTimeouts,
    capabilities: Capabilities,
    outgoing: BytesMut,
    /// Nothing more can be written. What the server said before is still read.
    write_failed: bool,
    /// What was awaited when bytes last moved, and after how many replies.
    progress: (ClientStage, u64),
    deadline: Instant,
    /// An event that was seen while content was written.
    seen: Option<ClientEvent>,
    opened: Instant,
    messages: u32,
    /// Whether the end of a message was sent and isn't answered.
    doubt: Doubt,
}

/// Why there is no connection.
#[derive(Debug)]
pub struct Unreachable(pub Reply);

/// Why there is no TLS.
#[derive(Debug)]
pub enum Insecure {
    /// The server takes no STARTTLS now. The connection is what it was.
    Refused(Reply),
    /// The handshake failed, or what came right after it. The connection is of no use.
    Failed(String),
    /// The server isn't who it must be. The connection is of no use.
    Distrusted(Distrust),
}

/// What became of a message.
#[derive(Debug)]
pub struct Sent {
    /// One for each recipient.
    pub answers: Vec<GivenReply>,
    /// Whether the connection can carry another message.
    pub reusable: bool,
    /// What was awaited when the connection ended before the message did.
    pub lost: Option<ClientStage>,
    /// The content couldn't be read: no other server helps.
    pub unreadable: bool,
}

impl Connection {
    /// Connects and says hello.
    pub async fn open(
        target: &Target,
        source: Option<IpAddr>,
        hello: &str,
        timeouts: &SmtpTimeouts,
    ) -> Result<Self, Unreachable> {
        let peer = format!("{}[{}]:{}", target.host, target.address.ip(), target.address.port());
        let why = match timeout(timeouts.connect, connect(target.address, source)).await {
            Ok(Ok(stream)) => {
                return Self::greet(stream, target.address.ip(), peer, hello, timeouts).await;
            }
            Ok(Err(error)) => reason(&error),
            Err(_) => "Connection timed out".to_owned(),
        };
        Err(Unreachable(Reply::new(450, status::NO_ANSWER, format!("connect to {peer}: {why}"))))
    }

    async fn greet(
        stream: TcpStream,
        address: IpAddr,
        peer: String,
        hello: &str,
        timeouts: &SmtpTimeouts,
    ) -> Result<Self, Unreachable> {
        let mut connection = Self {
            stream: Wire::Plain(stream),
            client: Client::new(hello, &peer),
            peer,
            address,
            secured: None,
            timeouts: timeouts.clone(),
            capabilities: Capabilities::default(),
            outgoing: BytesMut::new(),
            write_failed: false,
            progress: (ClientStage::Closed, 0),
            deadline: Instant::now(),
            seen: None,
            opened: Instant::now(),
            messages: 0,
            doubt: Doubt::default(),
        };
        match connection.event().await {
            ClientEvent::Ready(capabilities) => {
                connection.capabilities = capabilities;
                Ok(connection)
            }
            ClientEvent::Refused(GivenReply { reply, ours: false }) => {
                // As Postfix's smtp_skip_5xx_greeting: a server that talks to nobody says nothing
                // about the recipients.
                let said = reply.enhanced.map_or(status::SYSTEM, |status| status.detail);
                let text =
                    format!("host {} refused to talk to me: {}", connection.peer, bounded(reply));
                Err(Unreachable(Reply::new(450, said, text)))
            }
            ClientEvent::Refused(GivenReply { reply, ours: true }) => {
                Err(Unreachable(bounded(reply)))
            }
            _ => Err(Unreachable(no_outcome().reply)),
        }
    }

    /// STARTTLS, the handshake, and the hello again (RFC 3207), with the server by this name.
    pub async fn secure(
        &mut self,
        tls: &ClientTls,
        security: &Security,
        host: &str,
    ) -> Result<Secured, Insecure> {
        self.client.start_tls();
        match self.event().await {
            ClientEvent::StartTls => {}
            ClientEvent::TlsRefused(reply) => return Err(Insecure::Refused(bounded(reply))),
            other => return Err(Insecure::Failed(why(other))),
        }
        let Wire::Plain(stream) = std::mem::replace(&mut self.stream, Wire::Closed) else {
            return Err(Insecure::Failed("it is there already".to_owned()));
        };
        // An address is no name to ask for, and is sent to nobody.
        let name = ServerName::try_from(host.to_owned());
        let name = name.unwrap_or(ServerName::IpAddress(self.address.into()));
        let connector = TlsConnector::from(tls.config(security.versions));
        // It is large, and most of a connection's life goes without.
        let connecting = Box::pin(connector.connect(name, stream));
        let shaken = timeout(self.timeouts.starttls, connecting).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Insecure::Failed(reason(&error))),
            Err(_) => return Err(Insecure::Failed("not done in time".to_owned())),
        };
        let judged = tls.judge(stream.get_ref().1, &security.demand);
        let secured = judged.map_err(Insecure::Distrusted)?;
        self.stream = Wire::Tls(Box::new(stream));
        self.secured = Some(secured.to_string().into());
        self.client.secured();
        match self.event().await {
            ClientEvent::Ready(capabilities) => {
                self.capabilities = capabilities;
                Ok(secured)
            }
            other => Err(Insecure::Failed(why(other))),
        }
    }

    /// Logs in.
    ///
    /// # Errors
    /// The 4yz to defer with. The connection may be of no use.
    pub async fn log_in(&mut self, mut initiator: Initiator) -> Result<(), Reply> {
        let initial = match initiator.initial() {
            Ok(initial) => initial,
            Err(error) => return self.login_failed(status::SYSTEM, &error.to_string()),
        };
        self.client.authenticate(initiator.mechanism().name(), initial);
        let mut given_up = None::<GivenUp>;
        loop {
            match self.event().await {
                ClientEvent::Challenge(challenge) => {
                    let answer = move || {
                        let answer = initiator.answer(&challenge);
                        (initiator, answer)
                    };
                    let answered = tokio::task::spawn_blocking(answer).await;
                    let Ok((again, answer)) = answered else {
                        return self.login_failed(status::SYSTEM, "it could not be computed");
                    };
                    initiator = again;
                    self.client.respond(answer.as_ref().ok());
                    given_up = answer.err().or(given_up);
                }
                ClientEvent::LoggedIn(reply) => {
                    return match given_up {
                        Some(why) => self.login_failed(status::SECURITY, &why.to_string()),
                        None if !reply.is_positive() => {
                            let said = reply.enhanced.map_or(status::SECURITY, |it| it.detail);
                            self.login_failed(said, &format!("server said: {}", bounded(reply)))
                        }
                        None if initiator.is_done() => Ok(()),
                        None => {
                            self.login_failed(status::SECURITY, "the server has proved nothing")
                        }
                    };
                }
                other => return self.login_failed(status::BAD_CONNECTION, &why(other)),
            }
        }
    }

    fn login_failed(&self, detail: status::Detail, why: &str) -> Result<(), Reply> {
        Err(Reply::new(450, detail, format!("login at host {} failed: {why}", self.peer)))
    }

    /// `host[address]:port`.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// What TLS came to; none in the clear.
    pub fn secured(&self) -> Option<&Arc<str>> {
        self.secured.as_ref()
    }

    /// What the server offers, and its name.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How many messages it has carried, and how long it has been open.
    pub fn worn(&self) -> (u32, Duration) {
        (self.messages, self.opened.elapsed())
    }

    /// Tells others, while a message is being sent, whether its answer must be waited for.
    pub fn doubt(&self) -> Doubt {
        self.doubt.clone()
    }

    /// Whether nothing has happened on an idle connection. What a server says unasked is that it
    /// closes.
    pub fn is_quiet(&mut self) -> bool {
        poll_fn(|context| self.poll_read(context)).now_or_never().is_none()
    }

    /// Sends a message: these headers, then the body.
    pub async fn send(&mut self, envelope: &Envelope, header: &Bytes, body: &Body) -> Sent {
        self.messages += 1;
        self.doubt.set(false);
        self.client.start(envelope);
        let mut unreadable = false;
        let finished = loop {
            match self.event().await {
                ClientEvent::SendBody => {
                    if let Err(error) = self.content(header, body).await {
                        tracing::error!(%error, "the content of a queued message can't be read");
                        unreadable = true;
                        let text = "the message can't be read from the queue now";
                        self.client.fail(&Reply::new(451, status::SYSTEM, text));
                    }
                }
                ClientEvent::Finished(finished) => break finished,
                // None of the others comes after `start`: the message is undecided.
                _ => {
                    break Finished {
                        recipients: vec![no_outcome(); envelope.recipients.len()],
                        reusable: false,
                    };
                }
            }
        };
        let lost = (self.client.stage() == ClientStage::Closed).then_some(self.progress.0);
        let answers = finished
            .recipients
            .into_iter()
            .map(|answer| GivenReply { reply: bounded(answer.reply), ..answer });
        let reusable = finished.reusable && self.client.is_in_step();
        Sent { answers: answers.collect(), reusable, lost, unreadable }
    }

    /// Asks whether the server takes the one recipient of the envelope, and sends nothing.
    pub async fn verify(&mut self, envelope: &Envelope) -> GivenReply {
        self.messages += 1;
        self.client.verify(envelope);
        let answer = match self.event().await {
            ClientEvent::Finished(finished) => {
                finished.recipients.into_iter().next().unwrap_or_else(no_outcome)
            }
            // None of these comes after `verify`.
            _ => no_outcome(),
        };
        GivenReply { reply: bounded(answer.reply), ..answer }
    }

    /// Says goodbye, and doesn't wait for the answer (Postfix's `smtp_skip_quit_response`): a
    /// server that never gives one would hold a socket for nothing.
    pub fn leave(mut self) {
        self.client.quit();
        let output = std::mem::take(self.client.output());
        // It has room in an idle connection's buffer, or is of no importance.
        let _ = poll_fn(|context| {
            let written = Pin::new(&mut self.stream).poll_write(context, &output);
            let _ = Pin::new(&mut self.stream).poll_shutdown(context);
            written
        })
        .now_or_never();
    }

    async fn content(&mut self, header: &Bytes, body: &Body) -> io::Result<()> {
        let mut reader = body.open().await?;
        self.client.body(header);
        while let Some(chunk) = reader.next().await? {
            self.client.body(&chunk);
            if self.client.output().len() >= GATHER && !self.flush().await {
                return Ok(());
            }
        }
        self.doubt.set(true);
        self.client.end_of_body();
        Ok(())
    }

    /// Writes all there is, in the time for one part of the content. False: the message is over
    /// already.
    async fn flush(&mut self) -> bool {
        self.progress.0 = ClientStage::Closed;
        loop {
            self.seen = self.client.poll();
            if self.seen.is_some() {
                return false;
            }
            if self.client.output().is_empty() && self.outgoing.is_empty() && !self.write_failed {
                return true;
            }
            self.turn().await;
        }
    }

    async fn event(&mut self) -> ClientEvent {
        loop {
            if let Some(event) = self.seen.take().or_else(|| self.client.poll()) {
                return event;
            }
            if self.client.stage() == ClientStage::Closed {
                return ClientEvent::Closed(None);
            }
            self.turn().await;
        }
    }

    /// Moves some bytes, or tells the machine why that can't be.
    async fn turn(&mut self) {
        let output = std::mem::take(self.client.output());
        self.outgoing.unsplit(output);
        let progress = (self.client.stage(), self.client.replies());
        if progress != self.progress {
            self.progress = progress;
            self.deadline = Instant::now() + self.limit(progress.0);
        }
        let moved = timeout_at(self.deadline, poll_fn(|context| self.poll(context))).await;
        let what = match moved {
            Ok(Ok(())) => return,
            Ok(Err(_)) => format!("lost connection with {} while {}", self.peer, progress.0),
            Err(_) => format!("conversation with {} timed out while {}", self.peer, progress.0),
        };
        self.client.fail(&Reply::new(450, status::BAD_CONNECTION, what));
    }

    fn limit(&self, stage: ClientStage) -> Duration {
        match stage {
            ClientStage::Greeting
            | ClientStage::Hello
            | ClientStage::Auth
            | ClientStage::Ready
            | ClientStage::Quit
            | ClientStage::Closed => self.timeouts.helo,
            ClientStage::StartTls | ClientStage::Handshake => self.timeouts.starttls,
            ClientStage::Reset | ClientStage::Mail => self.timeouts.mail,
            ClientStage::Rcpt => self.timeouts.rcpt,
            ClientStage::Data => self.timeouts.data_init,
            ClientStage::Body => self.timeouts.data,
            ClientStage::EndOfData => self.timeouts.data_done,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut moved = false;
        while !self.outgoing.is_empty() && !self.write_failed {
            match Pin::new(&mut self.stream).poll_write(context, &self.outgoing) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.outgoing.advance(written);
                    moved = true;
                }
                Poll::Ready(_) => self.write_failed = true,
                Poll::Pending => break,
            }
        }
        if self.outgoing.is_empty() || self.write_failed {
            // An idle connection holds no buffer.
            self.outgoing = BytesMut::new();
        }
        if !self.write_failed
            && let Poll::Ready(Err(_)) = Pin::new(&mut self.stream).poll_flush(context)
        {
            self.write_failed = true;
        }
        match self.poll_read(context) {
            Poll::Pending if moved => Poll::Ready(Ok(())),
            polled => polled,
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; READ];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(())) => {
                self.client.receive(buffer.filled());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    // Whole flights of commands are written at once: waiting for more only costs time.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The words of an error, as an operator knows them.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Why TLS came to nothing, where the connection ended on the way.
fn why(event: ClientEvent) -> String {
    match event {
        ClientEvent::Refused(GivenReply { reply, ours: false }) => bounded(reply).to_string(),
        ClientEvent::Refused(GivenReply { reply, .. }) | ClientEvent::Closed(Some(reply)) => {
            bounded(reply).text
        }
        _ => no_outcome().reply.text,
    }
}

fn no_outcome() -> GivenReply {
    GivenReply { reply: Reply::no_outcome(), ours: true }
}

/// Octets of a server's words that are kept; the longest honest ones are a few lines.
const REPLY_LIMIT: usize = 2048;

/// The reply with a text of bounded length; the machine has made it printable.
fn bounded(mut reply: Reply) -> Reply {
    if reply.text.len() > REPLY_LIMIT {
        reply.text.truncate(reply.text.floor_char_boundary(REPLY_LIMIT));
        reply.text.push_str(" ...");
    }
    reply
}
