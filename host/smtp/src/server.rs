//! The server's state machine.
//!
//! Invariants: every command is answered once and in order; an event that owes a reply is the last
//! until it is given; content reaches the host only between a positive reply to [`Event::Data`] and
//! [`Event::EndOfData`]; after the end (QUIT, a reply 221, 421 or 521) nothing more is read; what
//! came before TLS never counts after it. An idle machine holds no buffer.
//!
//! Does not decide about anything but syntax, sequence and limits.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use zeroize::Zeroize as _;

use crate::auth::{self, AuthOffer, MAX_AUTH_RESPONSE};
use crate::bdat::{Chunk, Chunking};
use crate::command::{self, Command, Login, Tls};
use crate::config::{BareNewline, ServerConfig};
use crate::data::{Decoder, Framing};
use crate::event::{AuthError, DataError, Event};
use crate::line::{Line, LineFramer};
use crate::offer;
use crate::reply::Reply;
use crate::status;
use crate::transaction::Transaction;

/// Octets of input not yet looked at, over which [`Server::wants_input`] says no. When `poll` gave
/// None and no reply is owed, less than a command line is left, so this only holds up a client that
/// pipelines while the host thinks.
pub const MAX_PENDING_INPUT: usize = 64 * 1024;

/// The answer to HELP (RFC 5321 section 4.1.1.8).
const HELP: &str = "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS AUTH HELP QUIT";

/// One session with one client.
pub struct Server {
    config: Arc<ServerConfig>,
    input: BytesMut,
    output: BytesMut,
    framer: LineFramer,
    phase: Phase,
    /// The event whose reply is owed.
    owed: Option<Owed>,
    tls: Tls,
    login: Login,
    transaction: Transaction,
    decoder: Decoder,
    errors: u32,
    junk_commands: u32,
    /// The client said more before it had an answer that it has to wait for.
    unauth_pipelining: bool,
    /// The greeting refused the client: all it may do is QUIT (RFC 5321 3.1).
    denied: bool,
    farewell: Option<Box<Reply>>,
}

enum Phase {
    /// No greeting yet.
    Silent,
    Command,
    Data,
    Chunk(Chunk),
    /// TLS is being negotiated: what comes in isn't for the machine.
    Handshake,
    /// An exchange of AUTH: what comes in answers a challenge.
    Auth,
    Closed,
}

#[derive(Clone, Copy)]
enum Owed {
    Hello {
        esmtp: bool,
    },
    Mail,
    Rcpt,
    Data,
    FirstChunk,
    EndOfData,
    /// `utf8`: it said SMTPUTF8.
    Vrfy {
        utf8: bool,
    },
    StartTls,
    Auth,
    /// It says what the client called itself, and who it is.
    XClient {
        greeted: bool,
        login: bool,
    },
}

/// How a step of the machine ended.
enum Progress {
    Event(Event),
    /// Something was done; there may be more.
    Again,
    /// More bytes are needed.
    Starved,
}

impl Server {
    /// A session that says nothing before [`Self::greet`].
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self {
            tls: Tls::Plain(config.start_tls),
            config,
            input: BytesMut::new(),
            output: BytesMut::new(),
            framer: LineFramer::default(),
            phase: Phase::Silent,
            owed: None,
            login: Login::default(),
            transaction: Transaction::default(),
            decoder: Decoder::new(Framing::Dots),
            errors: 0,
            junk_commands: 0,
            unauth_pipelining: false,
            denied: false,
            farewell: None,
        }
    }

    /// What the client is offered, and its limits.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Opens the session: 220; or 554, after which every command but QUIT is refused; or 421, which
    /// ends it.
    pub fn greet(&mut self, reply: &Reply) {
        if matches!(self.phase, Phase::Silent) {
            self.phase = Phase::Command;
            self.unauth_pipelining |= !self.input.is_empty();
            self.denied = !reply.is_positive();
            self.send(reply);
        }
    }

    /// The session is under TLS from here: the handshake is done, which STARTTLS led to, or which
    /// came before the greeting. All that was said in the clear is forgotten (RFC 3207 section
    /// 4.2).
    pub fn secured(&mut self) {
        self.tls = Tls::Active;
        self.input = BytesMut::new();
        self.framer = LineFramer::default();
        self.unauth_pipelining = false;
        self.login = Login { offer: std::mem::take(&mut self.login.offer), ..Login::default() };
        if matches!(self.phase, Phase::Handshake) {
            self.phase = Phase::Command;
        }
    }

    /// Answers [`Event::XClient`]: the session starts over, for the client that was named, with
    /// what is offered to that one. [`Self::greet`] it next. Errors count on, TLS stays. Where
    /// nothing of the kind is owed nothing happens.
    pub fn start_over(&mut self, config: Arc<ServerConfig>) {
        let Some(Owed::XClient { greeted, login }) = self.owed else { return };
        self.owed = None;
        self.phase = Phase::Silent;
        if let Tls::Plain(_) = self.tls {
            self.tls = Tls::Plain(config.start_tls);
        }
        self.config = config;
        let Login { offer, esmtp, .. } = std::mem::take(&mut self.login);
        self.login = Login { offer, greeted, esmtp: greeted && esmtp, done: login };
        self.transaction = Transaction::default();
    }

    /// How clients may log in from now on: named in the answer to the next EHLO.
    pub fn offer_auth(&mut self, offer: AuthOffer) {
        self.login.offer = offer;
    }

    /// Answers [`Event::Auth`] and [`Event::AuthResponse`] with a challenge, of which the client
    /// sees the octets. Where neither is owed an answer nothing happens.
    pub fn challenge(&mut self, octets: &[u8]) {
        if let Some(Owed::Auth) = self.owed {
            self.owed = None;
            self.phase = Phase::Auth;
            self.output.extend_from_slice(auth::challenge(octets).as_bytes());
        }
    }

    /// Takes bytes from the wire, split anywhere, and keeps them all: see [`Self::wants_input`].
    pub fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Closed | Phase::Handshake) {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Whether to go on reading from the wire. Bounds the memory of the machine to
    /// [`MAX_PENDING_INPUT`] and one read.
    pub fn wants_input(&self) -> bool {
        !self.wants_close() && !self.wants_tls() && self.input.len() < MAX_PENDING_INPUT
    }

    /// Whether STARTTLS was answered 220: write the output, read nothing, negotiate TLS, then call
    /// [`Self::secured`].
    pub fn wants_tls(&self) -> bool {
        matches!(self.phase, Phase::Handshake)
    }

    /// The next thing the host must know. None: a reply is owed first, or more bytes are needed, or
    /// the session is over.
    pub fn poll(&mut self) -> Option<Event> {
        while self.owed.is_none() {
            let step = match self.phase {
                Phase::Silent | Phase::Handshake | Phase::Closed => Progress::Starved,
                Phase::Command => self.command(),
                Phase::Data => self.data(),
                Phase::Chunk(_) => self.chunk(),
                Phase::Auth => self.auth_response(),
            };
            match step {
                Progress::Event(event) => return Some(event),
                Progress::Again => {}
                Progress::Starved => {
                    if self.input.is_empty() {
                        // An idle session holds no buffer.
                        self.input = BytesMut::new();
                    }
                    return None;
                }
            }
        }
        None
    }

    /// Answers the event that owes a reply. Where none is owed nothing happens.
    pub fn reply(&mut self, reply: &Reply) {
        let Some(owed) = self.owed.take() else { return };
        // Of the transaction that it is about, which may end here.
        let utf8 = self.transaction.utf8 || matches!(owed, Owed::Vrfy { utf8: true });
        let accepted = reply.is_positive();
        if !accepted {
            self.errors += 1;
        }
        match (owed, accepted) {
            (Owed::Hello { esmtp }, true) => {
                (self.login.greeted, self.login.esmtp) = (true, esmtp);
                return offer::write(
                    &mut self.output,
                    &self.config,
                    esmtp,
                    self.tls.is_offered(),
                    &self.login.offer,
                );
            }
            (Owed::Auth, _) => {
                self.phase = Phase::Command;
                self.login.done = accepted;
            }
            (Owed::Mail, true) => self.transaction.open = true,
            (Owed::Mail, false) => self.transaction = Transaction::default(),
            (Owed::Rcpt, true) => self.transaction.recipients += 1,
            (Owed::Data, true) => {
                self.phase = Phase::Data;
                self.decoder = Decoder::new(Framing::Dots);
            }
            (Owed::FirstChunk, true) => {
                self.decoder = Decoder::new(Framing::Counted);
                self.transaction.chunking = Chunking::Receiving;
                return;
            }
            (Owed::FirstChunk, false) if !ends_session(reply) => {
                // The client sends the chunk whatever we say: the answer comes after it.
                if let Phase::Chunk(chunk) = &mut self.phase {
                    chunk.refusal = Some(Box::new(reply.clone()));
                }
                return;
            }
            (Owed::EndOfData, _) => {
                self.transaction = Transaction::default();
                self.phase = Phase::Command;
                if accepted {
                    self.errors = 0;
                    self.junk_commands = 0;
                }
            }
            (Owed::StartTls, true) if self.input.is_empty() => self.phase = Phase::Handshake,
            (Owed::StartTls, true) => {
                // No client says more before it has this answer. Somebody in the middle may have
                // put commands here, to be obeyed under TLS.
                let text = "Error: SMTP protocol synchronization";
                self.send(&Reply::new(554, status::PROTOCOL, text));
                return self.close();
            }
            (
                Owed::Hello { .. } | Owed::Rcpt | Owed::Data | Owed::FirstChunk | Owed::StartTls,
                false,
            )
            | (Owed::Vrfy { .. } | Owed::XClient { .. }, _) => {}
        }
        self.send_in(reply, utf8);
    }

    /// What must be written. Replies to pipelined commands gather here. Take it out
    /// (`std::mem::take`) rather than advance it, so that an idle session holds no buffer.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether the session is over: write the output, then close.
    pub fn wants_close(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether the client has said more before it had an answer that it has to wait for: the
    /// greeting; any answer, where it didn't say EHLO; those that end a pipelined group (RFC 2920
    /// section 3.1). Only what is here already counts, so that a slow network never makes it so.
    pub fn unauth_pipelining(&self) -> bool {
        self.unauth_pipelining
    }

    /// Whether MAIL was accepted and the transaction isn't over.
    pub fn in_transaction(&self) -> bool {
        self.transaction.open
    }

    /// Ends the session with this reply, a 421, at the next command boundary: now, if neither a
    /// reply is owed nor content coming in.
    pub fn shut_down(&mut self, reply: &Reply) {
        self.farewell = Some(Box::new(reply.clone()));
        if self.owed.is_none() && matches!(self.phase, Phase::Command | Phase::Auth | Phase::Silent)
        {
            self.say_farewell();
        }
    }

    fn say_farewell(&mut self) -> bool {
        let Some(reply) = self.farewell.take() else { return false };
        self.send(&reply);
        self.close();
        true
    }

    fn send(&mut self, reply: &Reply) {
        self.send_in(reply, self.transaction.utf8);
    }

    fn send_in(&mut self, reply: &Reply, utf8: bool) {
        reply.write_to(&mut self.output, utf8);
        if ends_session(reply) {
            self.close();
        }
    }

    /// Answers an error of the client.
    fn fail(&mut self, reply: &Reply) -> Progress {
        self.errors += 1;
        self.send(reply);
        Progress::Again
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.owed = None;
        self.transaction = Transaction::default();
        self.input = BytesMut::new();
    }

    /// Gives an event and waits for its reply.
    fn ask(&mut self, owed: Owed, event: Event) -> Progress {
        self.owed = Some(owed);
        Progress::Event(event)
    }

    fn command(&mut self) -> Progress {
        if self.say_farewell() {
            return Progress::Again;
        }
        if self.errors >= self.config.limits.errors {
            let text = format!("{} Error: too many errors", self.config.hostname);
            self.send(&Reply::new(421, status::SECURITY, text));
            return Progress::Again;
        }
        let mut limit = self.config.limits.command_line;
        if matches!(self.login.offer, AuthOffer::Mechanisms(_)) {
            limit = auth::line_limit(&self.input, limit);
        }
        let (length, next) = match self.framer.find(&mut self.input, limit) {
            None => return Progress::Starved,
            Some(Line::TooLong) => {
                return self.fail(&Reply::new(500, status::SYNTAX, "Error: line too long"));
            }
            Some(Line::Whole { length, next }) => (length, next),
        };
        let command = command::parse(
            &self.input[..length],
            &self.config,
            &self.transaction,
            self.tls,
            &self.login,
        );
        if self.transaction.open && matches!(command, Ok(Command::Hello { .. } | Command::StartTls))
        {
            // The line stays, and is found again outside the transaction.
            self.transaction = Transaction::default();
            return Progress::Event(Event::Reset);
        }
        let more = self.input.len() > next;
        if more && command::is_answered_first(&self.input[..length], &self.login) {
            self.unauth_pipelining = true;
        }
        if auth::begins(&self.input) {
            // Whatever is answered to it.
            self.input[..length].zeroize();
        }
        self.input.advance(next);
        match command {
            Ok(Command::Quit) => {
                self.send(&Reply::new(221, status::UNDEFINED, "Bye"));
                Progress::Event(Event::Quit)
            }
            _ if self.denied => {
                self.fail(&Reply::new(503, status::SECURITY, "Error: access denied"))
            }
            Ok(command) => self.perform(command),
            Err(reply) => {
                self.fail(&reply);
                // A client that isn't a mail client has gone, as far as the host cares.
                if reply.code == 221 { Progress::Event(Event::Quit) } else { Progress::Again }
            }
        }
    }

    fn perform(&mut self, command: Command) -> Progress {
        if matches!(
            command,
            Command::Hello { .. }
                | Command::Reset
                | Command::Noop
                | Command::Vrfy(_)
                | Command::Help
        ) {
            if self.junk_commands > self.config.limits.junk_commands {
                self.errors += 1;
            }
            self.junk_commands += 1;
        }
        match command {
            Command::Hello { esmtp, name } => {
                self.ask(Owed::Hello { esmtp }, Event::Hello { esmtp, name })
            }
            Command::Mail { sender, parameters } => {
                self.transaction.utf8 = parameters.smtputf8;
                self.ask(Owed::Mail, Event::Mail { sender, parameters })
            }
            Command::Rcpt { path, parameters } => {
                if self.transaction.recipients < self.config.limits.recipients {
                    return self.ask(Owed::Rcpt, Event::Rcpt { path, parameters });
                }
                self.transaction.overshoot += 1;
                if self.transaction.overshoot > self.config.limits.recipient_overshoot {
                    self.errors += 1;
                }
                self.send(&Reply::new(
                    452,
                    status::TOO_MANY_RECIPIENTS,
                    "Error: too many recipients",
                ));
                Progress::Again
            }
            Command::Data => self.ask(Owed::Data, Event::Data),
            Command::Bdat { size, last } => self.begin_chunk(Chunk::new(size, last)),
            Command::Reset => {
                self.transaction = Transaction::default();
                self.send(&Reply::ok());
                Progress::Event(Event::Reset)
            }
            Command::Noop => {
                self.send(&Reply::ok());
                Progress::Again
            }
            Command::Vrfy(address) => {
                // An address that isn't ASCII is one that SMTPUTF8 was said of.
                let utf8 = !address.is_ascii();
                self.ask(Owed::Vrfy { utf8 }, Event::Vrfy(address))
            }
            Command::Help => {
                self.send(&Reply::new(214, status::UNDEFINED, HELP));
                Progress::Again
            }
            Command::StartTls => self.ask(Owed::StartTls, Event::StartTls),
            Command::XClient(said) => {
                let owed =
                    Owed::XClient { greeted: said.helo.is_some(), login: said.login.is_some() };
                self.ask(owed, Event::XClient(said))
            }
            Command::XForward(said) => {
                self.send(&Reply::ok());
                Progress::Event(Event::XForward(said))
            }
            Command::Auth { mechanism, initial } => {
                self.ask(Owed::Auth, Event::Auth { mechanism, initial })
            }
            // Answered before, since it is the one command of a client denied.
            Command::Quit => Progress::Again,
        }
    }

    /// The answer to a challenge.
    fn auth_response(&mut self) -> Progress {
        if self.say_farewell() {
            return Progress::Again;
        }
        let (length, next) = match self.framer.find(&mut self.input, MAX_AUTH_RESPONSE) {
            None => return Progress::Starved,
            Some(Line::TooLong) => return self.abort_auth(AuthError::TooLong),
            Some(Line::Whole { length, next }) => (length, next),
        };
        let line = &mut self.input[..length];
        let response = if line == b"*" {
            Err(AuthError::Cancelled)
        } else {
            auth::response(line).ok_or(AuthError::NotBase64)
        };
        line.zeroize();
        self.input.advance(next);
        match response {
            Ok(response) => self.ask(Owed::Auth, Event::AuthResponse(response)),
            Err(error) => self.abort_auth(error),
        }
    }

    fn abort_auth(&mut self, error: AuthError) -> Progress {
        self.phase = Phase::Command;
        self.fail(&error.reply());
        Progress::Event(Event::AuthAborted(error))
    }

    fn data(&mut self) -> Progress {
        if self.decoder.ended() {
            return self.end_of_data();
        }
        if self.input.is_empty() {
            return Progress::Starved;
        }
        let available = self.input.len();
        match self.decoder.decode(&mut self.input, available) {
            Some(body) => self.content(body),
            None => Progress::Again,
        }
    }

    /// Content that may still be taken is given to the host; the rest is only counted.
    fn content(&mut self, body: Bytes) -> Progress {
        self.transaction.size = self.transaction.size.saturating_add(body.len() as u64);
        if self.content_error().is_some() {
            Progress::Again
        } else {
            Progress::Event(Event::Body(body))
        }
    }

    fn content_error(&self) -> Option<DataError> {
        let limit = self.config.limits.message_size;
        if limit > 0 && self.transaction.size > limit {
            Some(DataError::TooLarge)
        } else if self.decoder.bare_newline() && self.config.bare_newline == BareNewline::Reject {
            Some(DataError::BareNewline)
        } else {
            None
        }
    }

    fn end_of_data(&mut self) -> Progress {
        let result = self.content_error().map_or(Ok(()), Err);
        self.ask(Owed::EndOfData, Event::EndOfData(result))
    }

    fn begin_chunk(&mut self, mut chunk: Chunk) -> Progress {
        let limit = self.config.limits.message_size;
        let refusal = if self.transaction.chunking == Chunking::Failed {
            Some(Reply::new(
                551,
                status::UNDEFINED,
                format!("Discarded {} bytes after earlier error", chunk.size),
            ))
        } else if let Err(reply) = self.transaction.check_recipients() {
            Some(reply)
        } else if limit > 0 && self.transaction.size.saturating_add(chunk.size) > limit {
            Some(Reply::new(552, status::TOO_BIG, "Chunk exceeds message size limit"))
        } else if chunk.size == 0 && !chunk.last {
            Some(Reply::new(551, status::NOT_AUTHORIZED, "Null BDAT request"))
        } else {
            None
        };
        let first = self.transaction.chunking == Chunking::None;
        if refusal.is_some() {
            self.errors += 1;
        }
        let refused = refusal.is_some();
        chunk.refusal = refusal.map(Box::new);
        self.phase = Phase::Chunk(chunk);
        if first && !refused { self.ask(Owed::FirstChunk, Event::Data) } else { Progress::Again }
    }

    fn chunk(&mut self) -> Progress {
        let Phase::Chunk(chunk) = &mut self.phase else { return Progress::Again };
        if chunk.left > 0 {
            let available = chunk.available(self.input.len());
            if available == 0 {
                return Progress::Starved;
            }
            if chunk.refusal.is_some() {
                self.input.advance(available);
                chunk.took(available);
                return Progress::Again;
            }
            let before = self.input.len();
            let body = self.decoder.decode(&mut self.input, available);
            chunk.took(before - self.input.len());
            return body.map_or(Progress::Again, |body| self.content(body));
        }
        if let Some(refusal) = chunk.refusal.take() {
            return self.end_refused_chunk(&refusal);
        }
        let (size, last) = (chunk.size, chunk.last);
        if !last {
            self.phase = Phase::Command;
            self.send(&Reply::new(250, status::UNDEFINED, format!("Ok: {size} bytes")));
            return Progress::Again;
        }
        match self.decoder.finish() {
            Some(body) => self.content(body),
            None => self.end_of_data(),
        }
    }

    /// A refused chunk was skipped: the answer, and the end of the transaction if it was the last.
    fn end_refused_chunk(&mut self, refusal: &Reply) -> Progress {
        let Phase::Chunk(Chunk { last, .. }) = std::mem::replace(&mut self.phase, Phase::Command)
        else {
            return Progress::Again;
        };
        self.transaction.chunking = Chunking::Failed;
        let was_open = self.transaction.open;
        if last || !was_open {
            self.transaction = Transaction::default();
        }
        self.send(refusal);
        if last && was_open { Progress::Event(Event::Reset) } else { Progress::Again }
    }
}

/// The replies that end a session: 221 and 421 by RFC 5321, 521 by RFC 7504; Postfix hangs up after
/// them too.
fn ends_session(reply: &Reply) -> bool {
    matches!(reply.code, 221 | 421 | 521)
}
