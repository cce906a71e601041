//! The client's state machine: greeting, EHLO or HELO, STARTTLS and AUTH where the host wants them,
//! then one message after another, then QUIT.
//!
//! Invariants: each [`Client::start`] ends in one [`ClientEvent::Finished`] with one reply for each
//! recipient, whatever the server says; at most [`PIPELINE_WINDOW`] commands wait for their
//! replies; after a 421, a malformed or an unasked reply the connection is not used again, and
//! after one that is written oddly for no other message; what a server said before TLS, or sends
//! between its reply to STARTTLS and the handshake, never counts after it.
//!
//! Does not know the time: whoever owns the socket says so by [`Client::fail`] when
//! [`Client::stage`] has taken too long.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::address::Address;
use crate::auth::{self, Secret};
use crate::capabilities::Capabilities;
use crate::envelope::{Envelope, EnvelopeRecipient};
use crate::reply::Reply;
use crate::reply_parser::ReplyParser;
use crate::stage::ClientStage;
use crate::status;
use crate::stuffing::Stuffer;

/// Commands sent ahead of their replies at most. So the replies fit into the socket buffers, and a
/// host that writes all the output before it reads can't wait for a server that does the same.
pub const PIPELINE_WINDOW: usize = 100;
/// Octets of the line of AUTH (RFC 5321 section 4.5.3.1.4): what it begins with goes on a line of
/// its own where that would be longer (RFC 4954 section 4).
const MAX_AUTH_LINE: usize = 512;

/// What the machine tells its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server answered the hello: [`Client::start`] may be called.
    Ready(Capabilities),
    /// The server's greeting or its answer to the hello, or why there is none. The connection is of
    /// no use.
    Refused(GivenReply),
    /// The server waits for the handshake: [`Client::secured`] when it is done.
    StartTls,
    /// The server takes no STARTTLS now. The connection is what it was.
    TlsRefused(Reply),
    /// The server asks for more to log in by: [`Client::respond`].
    Challenge(Vec<u8>),
    /// The end of a login: whether the server takes it.
    LoggedIn(Reply),
    /// Content is wanted: [`Client::body`] any number of times, then [`Client::end_of_body`].
    SendBody,
    /// The message is done with.
    Finished(Finished),
    /// The connection is over outside a message: after QUIT (None), or because of this.
    Closed(Option<Reply>),
}

/// An outcome, and whose words it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenReply {
    /// The words.
    pub reply: Reply,
    /// They are ours: the server said nothing of the kind.
    pub ours: bool,
}

impl GivenReply {
    fn ours(reply: Reply) -> Self {
        Self { reply, ours: true }
    }

    fn said(reply: Reply) -> Self {
        Self { reply, ours: false }
    }
}

/// How a message fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// One for each recipient of the envelope, in its order.
    pub recipients: Vec<GivenReply>,
    /// Whether the connection can carry another message, as far as the replies to this one tell:
    /// [`Client::is_in_step`] knows what came after them.
    pub reusable: bool,
}

/// A command whose reply is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    EndOfData,
    Quit,
}

enum Phase {
    /// Up to the answer to the hello.
    Opening,
    /// From the reply to STARTTLS to the end of the handshake.
    Securing,
    Ready,
    Delivering(Delivery),
    Closed,
}

/// The message under way.
struct Delivery {
    /// What each recipient's outcome is, where it is known.
    outcomes: Vec<Option<GivenReply>>,
    /// Recipients that the server took.
    accepted: usize,
    /// Only asked: there is no content, and who is taken has that for an outcome.
    only_asked: bool,
    /// The commands not sent yet, and the lengths of each.
    queue: VecDeque<(Expected, usize)>,
    commands: String,
    /// How much of `commands` was sent.
    sent: usize,
    /// The host gives content.
    in_body: bool,
    /// MAIL was answered, or may have been: the server may have a transaction open.
    open: bool,
}

impl Delivery {
    /// Gives those whose outcome isn't known this one.
    fn decide(&mut self, answer: &GivenReply) {
        for outcome in self.outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *outcome = Some(answer.clone());
        }
    }
}

/// One connection to one server.
pub struct Client {
    hello_name: String,
    server: String,
    input: BytesMut,
    output: BytesMut,
    parser: ReplyParser,
    events: VecDeque<ClientEvent>,
    expected: VecDeque<Expected>,
    phase: Phase,
    capabilities: Capabilities,
    stuffer: Stuffer,
    /// What a login begins with, where AUTH was too long for it.
    initial: Option<Secret>,
    /// The server may still have a transaction open: RSET goes before the next MAIL.
    needs_reset: bool,
    replies: u64,
}

impl Client {
    /// A connection just made, which will say hello by this name. `server` is what our own words
    /// call the other side.
    pub fn new(hello_name: impl Into<String>, server: impl Into<String>) -> Self {
        Self {
            hello_name: hello_name.into(),
            server: server.into(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            parser: ReplyParser::default(),
            events: VecDeque::new(),
            expected: VecDeque::from([Expected::Greeting]),
            phase: Phase::Opening,
            capabilities: Capabilities::default(),
            stuffer: Stuffer::new(),
            initial: None,
            needs_reset: false,
            replies: 0,
        }
    }

    /// Takes bytes from the wire, split anywhere; [`Self::poll`] looks at them.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Closed) {
            self.input.extend_from_slice(bytes);
        }
    }

    /// What must be written. Take it out (`std::mem::take`) rather than advance it, so that an idle
    /// connection holds no buffer.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// The next thing the host must know; None: bytes or the host are awaited. Replies are looked
    /// at one by one, so that what the host does about one comes before the next.
    pub fn poll(&mut self) -> Option<ClientEvent> {
        while self.events.is_empty() && !matches!(self.phase, Phase::Closed) {
            match self.parser.next(&mut self.input) {
                None => break,
                Some(Ok(reply)) => {
                    self.replies += 1;
                    self.handle(reply);
                }
                Some(Err(malformed)) => {
                    self.protocol_error(&format!("malformed reply: {}", malformed.0));
                }
            }
        }
        if matches!(self.phase, Phase::Closed) || self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = BytesMut::new();
        }
        self.events.pop_front()
    }

    /// What is awaited.
    pub fn stage(&self) -> ClientStage {
        match (&self.phase, self.expected.front()) {
            (Phase::Closed, _) => ClientStage::Closed,
            (_, Some(Expected::Greeting)) => ClientStage::Greeting,
            (_, Some(Expected::Ehlo | Expected::Helo)) => ClientStage::Hello,
            (_, Some(Expected::StartTls)) => ClientStage::StartTls,
            (_, Some(Expected::Auth)) => ClientStage::Auth,
            (_, Some(Expected::Reset)) => ClientStage::Reset,
            (_, Some(Expected::Mail)) => ClientStage::Mail,
            (_, Some(Expected::Rcpt(_))) => ClientStage::Rcpt,
            (_, Some(Expected::Data)) => ClientStage::Data,
            (_, Some(Expected::EndOfData)) => ClientStage::EndOfData,
            (_, Some(Expected::Quit)) => ClientStage::Quit,
            (Phase::Delivering(_), None) => ClientStage::Body,
            (Phase::Securing, None) => ClientStage::Handshake,
            (Phase::Ready | Phase::Opening, None) => ClientStage::Ready,
        }
    }

    /// How many whole replies came so far: each gives the next one its full time, and a part of one
    /// doesn't.
    pub fn replies(&self) -> u64 {
        self.replies
    }

    /// Whether the next reply will be the next command's, as far as is known now: all were written
    /// as they should be, and none came that nothing asked for. To be asked before another message
    /// is sent: what a message's events say doesn't depend on how the bytes were split, and so not
    /// on what else has come.
    pub fn is_in_step(&self) -> bool {
        matches!(self.phase, Phase::Ready)
            && self.expected.is_empty()
            && self.input.is_empty()
            && !self.parser.is_odd()
    }

    /// Asks for TLS, where the server offers it and nothing is under way (RFC 3207): ends in
    /// [`ClientEvent::StartTls`] or [`ClientEvent::TlsRefused`].
    pub fn start_tls(&mut self) {
        let is_idle = matches!(self.phase, Phase::Ready) && self.expected.is_empty();
        if is_idle && self.input.is_empty() && self.capabilities.starttls {
            self.output.extend_from_slice(b"STARTTLS\r\n");
            self.expected.push_back(Expected::StartTls);
        } else {
            self.fail(&Reply::new(451, status::SYSTEM, "the connection is not ready for TLS"));
        }
    }

    /// TLS is there: says hello again, since what the server said before may be anybody's (RFC 3207
    /// section 4.2). Ends in [`ClientEvent::Ready`] or [`ClientEvent::Refused`].
    pub fn secured(&mut self) {
        if matches!(self.phase, Phase::Securing) {
            self.phase = Phase::Opening;
            self.capabilities = Capabilities::default();
            self.hello("EHLO", Expected::Ehlo);
        }
    }

    /// Logs in, where nothing is under way: ends in [`ClientEvent::LoggedIn`], maybe with
    /// challenges before it.
    pub fn authenticate(&mut self, mechanism: &str, initial: Option<Secret>) {
        if !matches!(self.phase, Phase::Ready) || !self.expected.is_empty() {
            let reply = Reply::new(451, status::SYSTEM, "the connection is not ready for a login");
            return self.fail(&reply);
        }
        self.output.extend_from_slice(format!("AUTH {mechanism}").as_bytes());
        let text = initial.as_ref().map(auth::written);
        match text.as_ref().map(|text| text.as_str()) {
            None => {}
            Some("") => self.output.extend_from_slice(b" ="),
            Some(text) if mechanism.len() + text.len() + 8 <= MAX_AUTH_LINE => {
                self.output.extend_from_slice(b" ");
                self.output.extend_from_slice(text.as_bytes());
            }
            Some(_) => self.initial = initial,
        }
        self.output.extend_from_slice(b"\r\n");
        self.expected.push_back(Expected::Auth);
    }

    /// Answers a challenge; None gives the login up (RFC 4954 section 4).
    pub fn respond(&mut self, answer: Option<&Secret>) {
        if matches!(self.phase, Phase::Ready) && self.expected.is_empty() {
            match answer {
                Some(answer) => {
                    self.output.extend_from_slice(auth::written(answer).as_bytes());
                }
                None => self.output.extend_from_slice(b"*"),
            }
            self.output.extend_from_slice(b"\r\n");
            self.expected.push_back(Expected::Auth);
        }
    }

    /// Sends a message. Where the machine isn't ready every recipient gets a 4yz.
    pub fn start(&mut self, envelope: &Envelope) {
        self.begin(envelope, false);
    }

    /// Asks whether the server takes these recipients, without a message: the outcome of each is
    /// the reply to its RCPT. A server that doesn't take the sender says nothing about them: their
    /// outcome is a 4yz then. Ends as [`Self::start`] does.
    pub fn verify(&mut self, envelope: &Envelope) {
        self.begin(envelope, true);
    }

    fn begin(&mut self, envelope: &Envelope, only_asked: bool) {
        let for_all = self.refusal(envelope);
        let refusal = |recipient: &EnvelopeRecipient| {
            let unsuited = recipient.address.needs_smtputf8() && !self.capabilities.smtputf8;
            for_all
                .clone()
                .or_else(|| unsuited.then(|| self.lacks_smtputf8()))
                .map(GivenReply::ours)
        };
        let outcomes: Vec<Option<GivenReply>> = envelope.recipients.iter().map(refusal).collect();
        if outcomes.iter().all(Option::is_some) {
            let reusable = matches!(self.phase, Phase::Ready) && !self.parser.is_odd();
            let recipients = outcomes.into_iter().flatten().collect();
            self.events.push_back(ClientEvent::Finished(Finished { recipients, reusable }));
            return;
        }
        let mut commands = String::new();
        let mut queue = VecDeque::with_capacity(envelope.recipients.len() + 3);
        let mut push = |expected, write: &dyn Fn(&mut String)| {
            let start = commands.len();
            write(&mut commands);
            queue.push_back((expected, commands.len() - start));
        };
        if self.needs_reset {
            push(Expected::Reset, &|output| output.push_str("RSET\r\n"));
        }
        push(Expected::Mail, &|output| envelope.write_mail(&self.capabilities, output));
        let open = envelope.recipients.iter().enumerate();
        for (index, recipient) in open.filter(|(index, _)| outcomes[*index].is_none()) {
            push(Expected::Rcpt(index), &|output| recipient.write_rcpt(&self.capabilities, output));
        }
        if !only_asked {
            push(Expected::Data, &|output| output.push_str("DATA\r\n"));
        }
        self.stuffer = Stuffer::new();
        self.phase = Phase::Delivering(Delivery {
            outcomes,
            accepted: 0,
            only_asked,
            queue,
            commands,
            sent: 0,
            in_body: false,
            open: self.needs_reset,
        });
        self.advance();
    }

    /// Why nobody can be sent this message by this server, in our words.
    fn refusal(&self, envelope: &Envelope) -> Option<Reply> {
        if !matches!(self.phase, Phase::Ready) || !self.expected.is_empty() {
            return Some(Reply::new(
                451,
                status::SYSTEM,
                "the connection is not ready for a message",
            ));
        }
        let by_sender = envelope.sender.as_ref().is_some_and(Address::needs_smtputf8);
        if (envelope.utf8 || by_sender) && !self.capabilities.smtputf8 {
            return Some(self.lacks_smtputf8());
        }
        let (size, server) = (envelope.size, &self.server);
        self.capabilities.size.filter(|&limit| limit > 0 && size > limit).map(|limit| {
            let text = format!("message size {size} exceeds size limit {limit} of server {server}");
            Reply::new(552, status::TOO_BIG, text)
        })
    }

    fn lacks_smtputf8(&self) -> Reply {
        let text = format!("SMTPUTF8 is required, but was not offered by host {}", self.server);
        Reply::new(553, status::NO_UTF8, text)
    }

    /// Sends content, normalised and dot-stuffed on the way; split anywhere. Outside
    /// [`ClientEvent::SendBody`] it is dropped.
    pub fn body(&mut self, content: &[u8]) {
        if matches!(&self.phase, Phase::Delivering(delivery) if delivery.in_body) {
            self.stuffer.write(content, &mut self.output);
        }
    }

    /// Ends the content.
    pub fn end_of_body(&mut self) {
        if let Phase::Delivering(delivery) = &mut self.phase
            && std::mem::take(&mut delivery.in_body)
        {
            self.stuffer.finish(&mut self.output);
            self.expected.push_back(Expected::EndOfData);
        }
    }

    /// Ends the connection politely, where nothing is under way; else as [`Self::fail`].
    pub fn quit(&mut self) {
        match self.phase {
            Phase::Ready if self.expected.is_empty() => {
                self.output.extend_from_slice(b"QUIT\r\n");
                self.expected.push_back(Expected::Quit);
            }
            Phase::Ready | Phase::Closed => {}
            Phase::Opening | Phase::Securing | Phase::Delivering(_) => {
                self.fail(&Reply::new(421, status::BAD_CONNECTION, "the connection was given up"));
            }
        }
    }

    /// The connection was lost, or took too long: this becomes the outcome of what was under way.
    pub fn fail(&mut self, reply: &Reply) {
        self.end(GivenReply::ours(reply.clone()));
    }

    fn end(&mut self, answer: GivenReply) {
        let quitting = self.expected.front() == Some(&Expected::Quit);
        self.expected.clear();
        let event = match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Closed => return,
            Phase::Opening | Phase::Securing => ClientEvent::Refused(answer),
            Phase::Ready => ClientEvent::Closed((!quitting).then_some(answer.reply)),
            Phase::Delivering(mut delivery) => {
                delivery.decide(&answer);
                ClientEvent::Finished(Finished {
                    recipients: decided(delivery.outcomes),
                    reusable: false,
                })
            }
        };
        self.events.push_back(event);
    }

    fn protocol_error(&mut self, what: &str) {
        let text = format!("protocol error of {}: {what}", self.server);
        self.fail(&Reply::new(451, status::PROTOCOL, text));
    }

    fn handle(&mut self, reply: Reply) {
        if reply.code == 421 && self.expected.front() != Some(&Expected::Quit) {
            return self.end(GivenReply::said(reply));
        }
        let Some(expected) = self.expected.pop_front() else {
            if reply.is_positive() {
                self.protocol_error(&format!("unexpected reply: {reply}"));
            } else {
                self.end(GivenReply::said(reply));
            }
            return;
        };
        let accepted = matches!(reply.code, 200..=299);
        let goes_on = match expected {
            Expected::Data => true,
            Expected::Auth => reply.code == 334,
            _ => false,
        };
        if matches!(reply.code, 300..=399) && !goes_on || accepted && expected == Expected::Data {
            return self.protocol_error(&format!("unexpected reply: {reply}"));
        }
        match expected {
            Expected::Greeting if accepted => self.hello("EHLO", Expected::Ehlo),
            Expected::Ehlo if reply.is_permanent() => self.hello("HELO", Expected::Helo),
            Expected::Ehlo | Expected::Helo if accepted => {
                self.capabilities = Capabilities::parse(&reply, expected == Expected::Ehlo);
                self.phase = Phase::Ready;
                self.events.push_back(ClientEvent::Ready(self.capabilities.clone()));
            }
            Expected::Greeting | Expected::Ehlo | Expected::Helo => {
                self.end(GivenReply::said(reply));
            }
            Expected::Auth if reply.code == 334 => {
                let Some(challenge) = auth::challenged(&reply.text) else {
                    return self.protocol_error("a challenge that is no base64");
                };
                match self.initial.take() {
                    Some(initial) => self.respond(Some(&initial)),
                    None => self.events.push_back(ClientEvent::Challenge(challenge)),
                }
            }
            Expected::Auth => {
                self.initial = None;
                self.events.push_back(ClientEvent::LoggedIn(reply));
            }
            Expected::StartTls if !accepted => {
                self.events.push_back(ClientEvent::TlsRefused(reply));
            }
            Expected::StartTls => {
                self.phase = Phase::Securing;
                if self.input.is_empty() {
                    self.events.push_back(ClientEvent::StartTls);
                } else {
                    // No server speaks first under TLS: somebody in the middle does.
                    self.protocol_error("more after the reply to STARTTLS");
                }
            }
            Expected::Quit => {
                self.phase = Phase::Closed;
                self.events.push_back(ClientEvent::Closed(None));
            }
            _ => self.answer(expected, reply, accepted),
        }
    }

    fn hello(&mut self, verb: &str, expected: Expected) {
        self.output.extend_from_slice(format!("{verb} {}\r\n", self.hello_name).as_bytes());
        self.expected.push_back(expected);
    }

    /// The reply to a command of the message under way.
    fn answer(&mut self, expected: Expected, reply: Reply, accepted: bool) {
        let Phase::Delivering(delivery) = &mut self.phase else { return };
        match expected {
            Expected::Reset if accepted => delivery.open = false,
            // It says nothing about this message: another connection may carry it.
            Expected::Reset => {
                let text = format!("{} keeps the message before: {reply}", self.server);
                return self.fail(&Reply::new(451, status::PROTOCOL, text));
            }
            Expected::Mail if accepted => delivery.open = true,
            Expected::Mail => {
                let detail =
                    reply.enhanced.map_or(status::BAD_SENDER_SYSTEM, |status| status.detail);
                let undecided = || Reply::new(450, detail, reply.text.clone());
                delivery.decide(&GivenReply::said(
                    if delivery.only_asked && reply.is_permanent() { undecided() } else { reply },
                ));
                delivery.queue.clear();
            }
            Expected::Rcpt(_) if accepted && !delivery.only_asked => delivery.accepted += 1,
            Expected::Rcpt(index) => {
                // After a refused MAIL the outcome is known already, and RCPT's 503 says nothing.
                if let Some(outcome @ None) = delivery.outcomes.get_mut(index) {
                    *outcome = Some(GivenReply::said(reply));
                }
            }
            Expected::Data if reply.is_positive() => {
                if delivery.outcomes.iter().any(Option::is_none) {
                    delivery.in_body = true;
                    self.events.push_back(ClientEvent::SendBody);
                } else if delivery.accepted > 0 {
                    // MAIL was refused: an end of data would give these recipients an empty
                    // message.
                    return self.protocol_error("recipients taken without a sender");
                } else {
                    // RFC 2920 3.1: DATA was sent ahead and no recipient was taken.
                    self.output.extend_from_slice(b".\r\n");
                    self.expected.push_back(Expected::EndOfData);
                }
            }
            Expected::EndOfData => {
                delivery.open = false;
                delivery.decide(&GivenReply::said(reply));
            }
            _ => delivery.decide(&GivenReply::said(reply)),
        }
        self.advance();
    }

    /// Sends what may be sent, and finishes the message when nothing is left.
    fn advance(&mut self) {
        let Phase::Delivering(delivery) = &mut self.phase else { return };
        let window = if self.capabilities.pipelining { PIPELINE_WINDOW } else { 1 };
        while self.expected.len() < window
            && let Some(&(expected, length)) = delivery.queue.front()
        {
            if expected == Expected::Data && self.expected.is_empty() && delivery.accepted == 0 {
                // No recipient was taken, and DATA wasn't sent ahead.
                delivery.queue.clear();
                break;
            }
            delivery.queue.pop_front();
            let end = delivery.sent + length;
            self.output.extend_from_slice(&delivery.commands.as_bytes()[delivery.sent..end]);
            delivery.sent = end;
            self.expected.push_back(expected);
        }
        if !self.expected.is_empty() || !delivery.queue.is_empty() || delivery.in_body {
            return;
        }
        self.needs_reset = delivery.open;
        let outcomes = std::mem::take(&mut delivery.outcomes);
        self.phase = Phase::Ready;
        self.events.push_back(ClientEvent::Finished(Finished {
            recipients: decided(outcomes),
            reusable: !self.parser.is_odd(),
        }));
    }
}

/// All outcomes. When a message is done with none is open any more; were one, it would be tried
/// again.
fn decided(outcomes: Vec<Option<GivenReply>>) -> Vec<GivenReply> {
    let undecided = || GivenReply::ours(Reply::no_outcome());
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(undecided)).collect()
}
