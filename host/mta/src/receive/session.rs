//! One client's session: carries bytes between the socket and the protocol machine, and questions
//! between the machine and policy.
//!
//! Nothing is decided here. What the machine wants to know is asked of policy, what policy accepts
//! goes to intake, and what is uncertain is answered 4yz. An idle session holds no buffer. Under
//! TLS a session begins anew: what was said in the clear is forgotten (RFC 3207 section 4.2).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use facteur_policy::{Decision, Message, Run, SessionFacts, Transaction};
use facteur_smtp::status::{self, Detail};
use facteur_smtp::{
    AuthOffer, DataError, Event, HeadersError, MailParameters, Path, Proxied, RcptParameters,
    Reply, Server, ServerConfig, XClient,
};
use facteur_spool::QueueId;
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::config::{Listen, ListenKind, TlsMode};
use crate::receive::admission::Admitted;
use crate::receive::clients::Count;
use crate::receive::envelope::{self, Envelope};
use crate::receive::handshake::{HandshakeError, handshake};
use crate::receive::intake::{self, Accepted};
use crate::receive::login::{About, Login, Said};
use crate::receive::mta::{Mta, told_to_stop};
use crate::receive::observer::{Ended, Observer};
use crate::receive::patience::{self, Patience};
use crate::receive::pregreet::{self, Waited};
use crate::receive::stream::{self, Stream};
use crate::receive::{bodies, loops, offered};
use crate::simulation::{self, What};
use crate::snapshot::Snapshot;

/// What clients hear when the program stops, and its code.
const STOPPING: (&str, Detail) = ("Service shutting down", status::NOT_ACCEPTING);
/// How long a client that is told to go may take to read it.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a client in the middle of its content may go on when the program stops: what it sends
/// by then needn't be sent again.
const LAST_CONTENT: Duration = Duration::from_secs(10);

/// Serves a client until it goes, is sent away, or the program stops. `proxy` is who passes it on.
pub async fn serve(
    mta: Arc<Mta>,
    listen: Arc<Listen>,
    stream: TcpStream,
    Proxied { client, local }: Proxied,
    proxy: Option<SocketAddr>,
    admitted: Admitted,
) {
    let snapshot = mta.in_force.load_full();
    let trusted = snapshot.config.networks.contains(client.ip().to_canonical());
    let mut facts = SessionFacts::new(mta.session_id(), listen.name.clone(), client, trusted);
    facts.proxy = proxy;
    let facts = Arc::new(facts);
    let offered = offered::to(client.ip(), &snapshot, &listen, admitted.seat.is_short());
    let (config, unserved) = match offered {
        Ok(config) => (config, None),
        Err(reply) => (ServerConfig::default(), Some(reply)),
    };
    let mut wire = Server::new(Arc::new(config));
    // At the level of errors: it is there whatever level is logged.
    let span = tracing::error_span!("session", session = facts.id);
    let observer = Observer::new(mta.clone(), facts.clone(), || snapshot.policy.services().clone());
    let policy = policy(&snapshot, &facts, &observer);
    if listen.auth {
        // By which mechanisms is told when the client greets.
        wire.offer_auth(AuthOffer::UnderTls);
    }
    let session = Session {
        completes: completes(&listen, client.ip(), local.ip()),
        mta,
        snapshot,
        listen,
        facts,
        policy,
        wire,
        stream: Stream::Plain(stream),
        envelope: None,
        login: Login::new(client, local),
        local,
        unserved,
        observer,
        admitted,
    };
    Box::pin(session.run()).instrument(span).await;
}

struct Session {
    mta: Arc<Mta>,
    snapshot: Arc<Snapshot>,
    listen: Arc<Listen>,
    facts: Arc<SessionFacts>,
    policy: facteur_policy::Session,
    wire: Server,
    stream: Stream,
    envelope: Option<Box<Envelope>>,
    login: Login,
    /// Where the client connected to.
    local: SocketAddr,
    /// Fields that are missing are added: the client is a program of this machine, or a user's.
    completes: bool,
    /// Why nothing can be offered to the client.
    unserved: Option<Reply>,
    observer: Observer,
    admitted: Admitted,
}

impl Session {
    async fn run(mut self) {
        let client = self.facts.client_ip();
        let proxy = self.facts.proxy.map(|proxy| proxy.ip().to_canonical());
        tracing::debug!(%client, ?proxy, listener = self.listen.name, "connect");
        let begun = match self.snapshot.config.current(&self.listen).tls {
            TlsMode::Implicit => Box::pin(self.start_tls()).await,
            TlsMode::None | TlsMode::May | TlsMode::Encrypt => Ok(()),
        };
        let ended = match begun {
            Ok(()) => Box::pin(self.converse()).await,
            Err(error) => Err(error),
        };
        self.leave_envelope("left by the client");
        self.observer.before_envelope(self.policy.trace());
        self.observer.finish();
        match ended {
            Ok(()) => tracing::debug!("disconnect"),
            Err(error) => tracing::debug!(%error, "connection lost"),
        }
    }

    async fn converse(&mut self) -> io::Result<()> {
        // Both live as long as the session: a timer that is only put off, and a place in the line
        // of those who hear of the stop, cost a command nothing.
        let mut stopping = self.mta.stopping.clone();
        let mut stop = pin!(told_to_stop(&mut stopping));
        let mut patience = Patience::new(self.listen.limits.timeout);
        let mut over = pin!(tokio::time::sleep(self.listen.limits.timeout));
        let mut leaving = false;
        if let Some(reply) = self.unserved.take() {
            self.wire.greet(&reply);
            return self.last_words().await;
        }
        match unless(stop.as_mut(), Box::pin(self.begin())).await {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => {
                self.wire.greet(&self.farewell(STOPPING.0, STOPPING.1));
                return self.last_words().await;
            }
        }
        loop {
            while let Some(event) = self.wire.poll() {
                let content = matches!(event, Event::Body(_) | Event::EndOfData(_));
                match &event {
                    Event::Body(octets) => patience.content(octets.len()),
                    _ => patience.begin_anew(),
                }
                let answered = if leaving || content {
                    Some(self.take(event).await)
                } else {
                    // Who waits for an answer can ask again after the start.
                    unless(stop.as_mut(), self.take(event)).await
                };
                match answered {
                    Some(ControlFlow::Continue(())) => {}
                    Some(ControlFlow::Break(())) => return self.last_words().await,
                    None => {
                        let farewell = self.farewell(STOPPING.0, STOPPING.1);
                        self.wire.reply(&farewell);
                        // Where XCLIENT came it is the greeting that is owed.
                        self.wire.greet(&farewell);
                        return self.last_words().await;
                    }
                }
            }
            self.flush().await?;
            if self.wire.wants_close() {
                return self.last_words().await;
            }
            if self.wire.wants_tls() {
                Box::pin(self.start_tls()).await?;
                continue;
            }
            if !leaving {
                over.as_mut().reset(patience.deadline(self.admitted.seat.is_short()));
            }
            if patience.progress() {
                self.admitted.seat.waits();
            } else {
                self.admitted.seat.waits_on();
            }
            let most = self.most_to_read();
            let goes_on = tokio::select! {
                goes_on = self.stream.read(most, |bytes| self.wire.receive(bytes)) => goes_on?,
                () = self.admitted.seat.lost(), if !leaving => {
                    self.lost();
                    // Somebody else has its place: it waits for nothing.
                    return self.say_last(Duration::ZERO).await;
                }
                () = over.as_mut() => {
                    if !leaving {
                        self.go_away("Error: timeout exceeded", status::BAD_CONNECTION);
                    }
                    return self.last_words().await;
                }
                () = stop.as_mut(), if !leaving => {
                    // Said at once, or after the content that is coming in.
                    self.go_away(STOPPING.0, STOPPING.1);
                    leaving = true;
                    over.as_mut().reset(Instant::now() + LAST_CONTENT);
                    continue;
                }
            };
            self.admitted.seat.works();
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Greets the client when its time has come; false if it has gone.
    async fn begin(&mut self) -> bool {
        match self.waits_for_greeting().await {
            Waited::Silent => self.greet().await,
            Waited::Spoke => {
                self.wire.greet(&pregreet::refusal(&self.snapshot.config.hostname));
            }
            Waited::Gone => return false,
        }
        true
    }

    /// Opens the session, if policy has nothing against it.
    async fn greet(&mut self) {
        let decision = self.policy.connect().await;
        self.observer.decided("connect", Some(What::Connect), &decision, None);
        match decision {
            Decision::Accept => {
                let greeting = format!("{} ESMTP facteur", self.snapshot.config.hostname);
                self.wire.greet(&Reply::plain(220, greeting));
            }
            Decision::Refuse(reply) | Decision::Drop(reply) => self.wire.greet(&reply),
        }
    }

    /// The client speaks for another one, with whom the session begins anew.
    async fn start_over(&mut self, said: &XClient) {
        self.observer.before_envelope(self.policy.trace());
        let Self { snapshot, listen, .. } = self;
        let stress = self.admitted.seat.is_short();
        let facts = self.facts.on_behalf(said, |client| snapshot.config.networks.contains(client));
        let client = facts.client;
        // XFORWARD is the speaker's to say to the end, as in Postfix.
        let xforward = self.wire.config().xforward;
        let config = match offered::to(client.ip(), snapshot, listen, stress) {
            Ok(config) => config,
            Err(reply) => return self.wire.reply(&reply),
        };
        // Who may speak for others in its turn is counted as none, as at the door.
        let exempt = facts.trusted || config.xclient;
        if let Err(why) = self.admitted.pass_to(client.ip(), exempt) {
            tracing::warn!(client = %facts.client_ip(), %why, "turned away");
            return self.wire.reply(&why.reply(client.ip(), &config.hostname));
        }
        self.wire.start_over(Arc::new(ServerConfig { xforward, ..config }));
        tracing::debug!(client = %facts.client_ip(), proxy = %self.facts.client_ip(), "XCLIENT");
        self.local.set_ip(said.server_address.unwrap_or(self.local.ip()));
        self.local.set_port(said.server_port.unwrap_or(self.local.port()));
        self.login.is_between(client, self.local);
        self.completes = completes(&self.listen, client.ip(), self.local.ip());
        self.facts = Arc::new(facts);
        self.observer.of_another(self.facts.clone());
        self.policy = policy(&self.snapshot, &self.facts, &self.observer);
        self.greet().await;
    }

    /// Lets a client that isn't known wait for its greeting, and sees what it does.
    async fn waits_for_greeting(&mut self) -> Waited {
        let (Some(time), Stream::Plain(stream)) = (self.listen.greet_wait, &self.stream) else {
            return Waited::Silent;
        };
        let (client, seat) = (self.facts.client_ip(), &mut self.admitted.seat);
        if self.facts.trusted || self.mta.pregreet.has_passed(client) {
            return Waited::Silent;
        }
        seat.waits();
        let time = if seat.is_short() { time.min(pregreet::IN_STRESS) } else { time };
        let waited = tokio::select! {
            waited = pregreet::wait(stream, time) => waited,
            () = seat.lost() => Waited::Gone,
        };
        seat.works();
        match waited {
            Waited::Silent => self.mta.pregreet.passed(client),
            Waited::Spoke if self.mta.repeats.is_told(client) => {
                tracing::info!(%client, "spoke before the greeting");
            }
            Waited::Spoke | Waited::Gone => {}
        }
        waited
    }

    /// Negotiates TLS, with which the session begins anew.
    async fn start_tls(&mut self) -> io::Result<()> {
        let asks = self.snapshot.config.current(&self.listen).ask_client_cert;
        let server = self.snapshot.tls.server(asks).ok_or(HandshakeError::NoCertificate);
        let stream = std::mem::replace(&mut self.stream, Stream::Closed);
        let secured = match (server, stream) {
            _ if self.may_negotiate() != Decision::Accept => Err(HandshakeError::TooMany),
            (Ok(server), Stream::Plain(stream)) => {
                let seat = &mut self.admitted.seat;
                seat.waits();
                let done = tokio::select! {
                    done = handshake(&self.mta, server, stream) => done,
                    () = seat.lost() => Err(HandshakeError::LostPlace),
                };
                seat.works();
                done
            }
            (Err(error), _) => Err(error),
            (_, Stream::Tls(_) | Stream::Closed) => Err(HandshakeError::OutOfTurn),
        };
        let secured = secured.map_err(|error| {
            if self.mta.repeats.is_told(self.facts.client_ip()) {
                tracing::info!(client = %self.facts.client_ip(), %error, "no TLS");
            }
            io::Error::other(error)
        })?;
        if secured.get_ref().1.handshake_kind() != Some(HandshakeKind::Resumed) {
            // This one is done: the next is refused, if it is one too many.
            let _ = self.admitted.count(Count::Handshakes, self.facts.client_ip());
        }
        let tls = self.snapshot.tls.established(secured.get_ref().1, asks);
        tracing::debug!(
            version = tls.version,
            cipher = tls.cipher,
            sni = tls.sni,
            client_certificate = tls.client.as_ref().map(|client| &client.fingerprint),
            "TLS"
        );
        self.login.under_tls(secured.get_ref().1);
        self.stream = Stream::Tls(secured);
        self.wire.secured();
        self.observer.before_envelope(self.policy.trace());
        self.facts = Arc::new(self.facts.under_tls(tls));
        self.observer.under_tls(self.facts.clone());
        self.policy = policy(&self.snapshot, &self.facts, &self.observer);
        Ok(())
    }

    /// Whether the client may cost another handshake.
    fn may_negotiate(&self) -> Decision {
        match self.admitted.check(Count::Handshakes, self.facts.client_ip()) {
            Ok(()) => Decision::Accept,
            Err(reply) => Decision::Drop(self.farewell(&reply.text, status::SECURITY)),
        }
    }

    /// How much is read at once: more only where it goes on to the disk.
    fn most_to_read(&self) -> usize {
        let writes = self.envelope.as_ref().is_some_and(|envelope| envelope.body.is_some());
        if writes && !self.admitted.seat.memory_is_short() {
            stream::CONTENT
        } else {
            stream::COMMANDS
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.wire.output().is_empty() {
            return Ok(());
        }
        let output = self.wire.output().split();
        let write = async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        };
        // Who doesn't read is as idle as who doesn't speak.
        let seat = &mut self.admitted.seat;
        let limit = patience::limit(self.listen.limits.timeout, seat.is_short());
        seat.waits();
        let written = tokio::select! {
            biased;
            written = tokio::time::timeout(limit, write) => written.ok(),
            () = seat.lost() => None,
        };
        seat.works();
        written.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    fn go_away(&mut self, text: &str, detail: Detail) {
        self.wire.shut_down(&self.farewell(text, detail));
    }

    fn farewell(&self, text: &str, detail: Detail) -> Reply {
        Reply::new(421, detail, format!("{} {text}", self.snapshot.config.hostname))
    }

    async fn last_words(&mut self) -> io::Result<()> {
        self.say_last(LAST_WORDS).await
    }

    /// Ends the connection; what is still to be said may take so long.
    async fn say_last(&mut self, time: Duration) -> io::Result<()> {
        let written = tokio::time::timeout(time, async {
            self.flush().await?;
            self.stream.shutdown().await
        });
        written.await.unwrap_or(Ok(()))
    }

    /// Another session has the place of this one.
    fn lost(&mut self) {
        if self.mta.repeats.is_told(self.facts.client_ip()) {
            tracing::info!(client = %self.facts.client_ip(), "lost its place");
        }
        self.go_away("Error: too many connections", status::NOT_ACCEPTING);
    }

    /// The client waits for its answer, and others may have its place meanwhile.
    async fn pause(&mut self, time: Duration) {
        let seat = &mut self.admitted.seat;
        seat.waits();
        let lost = tokio::select! {
            () = tokio::time::sleep(time) => false,
            () = seat.lost() => true,
        };
        seat.works();
        if lost {
            self.lost();
        }
    }

    /// Answers one event. Breaks when the session is over. The futures that ask policy are boxed:
    /// what they need meanwhile is far larger than an idle session.
    async fn take(&mut self, event: Event) -> ControlFlow<()> {
        if self.wire.unauth_pipelining() {
            self.facts.set_unauth_pipelining();
        }
        let acceptance = event.acceptance();
        let stage = stage(&event);
        let said = if self.observer.is_recording() { said(&event) } else { None };
        let decision = match event {
            Event::Hello { esmtp, name } => {
                self.facts.forget_forwarded();
                let discarded = self.wire.config().discarded;
                if esmtp && !discarded.is_empty() && !discarded.silent {
                    let client = self.facts.client_ip();
                    tracing::info!(%client, "discarding EHLO keywords: {discarded}");
                }
                self.offer_auth().await;
                Box::pin(self.policy.hello(&name, esmtp)).await
            }
            Event::Auth { .. } | Event::AuthResponse(_) | Event::AuthAborted(_) => {
                Box::pin(self.log_in(event)).await;
                return ControlFlow::Continue(());
            }
            Event::Mail { sender, parameters } => self.mail(sender, parameters),
            Event::Rcpt { path, parameters } => Box::pin(self.rcpt(path, parameters)).await,
            Event::Data => Box::pin(self.data()).await,
            Event::Body(bytes) => {
                self.body(bytes).await;
                return ControlFlow::Continue(());
            }
            Event::EndOfData(result) => {
                return match Box::pin(self.end_of_data(result)).await {
                    Ok(reply) => self.answer(Decision::Accept, Some(reply)),
                    Err(decision) => self.answer(decision, None),
                };
            }
            Event::Vrfy(_) => Decision::Accept,
            Event::XClient(said) => {
                Box::pin(self.start_over(&said)).await;
                return ControlFlow::Continue(());
            }
            Event::XForward(said) => {
                self.facts.forwarded(said);
                return ControlFlow::Continue(());
            }
            Event::StartTls if self.snapshot.tls.server(false).is_some() => self.may_negotiate(),
            Event::StartTls => Decision::Refuse(Reply::tls_not_available()),
            Event::Reset => {
                self.facts.forget_forwarded();
                self.observer.reset();
                self.leave_envelope("taken back by the client");
                return ControlFlow::Continue(());
            }
            Event::Quit => return ControlFlow::Continue(()),
        };
        let sender = self.envelope.as_ref().and_then(|envelope| envelope.sender.as_ref());
        self.observer.decided(stage, said, &decision, sender);
        self.answer(decision, acceptance)
    }

    /// Says what was decided.
    fn answer(&mut self, decision: Decision, acceptance: Option<Reply>) -> ControlFlow<()> {
        let (reply, next) = match decision {
            Decision::Accept => (acceptance, ControlFlow::Continue(())),
            Decision::Refuse(reply) => (Some(reply), ControlFlow::Continue(())),
            Decision::Drop(reply) => (Some(reply), ControlFlow::Break(())),
        };
        if let Some(reply) = reply {
            self.wire.reply(&reply);
        }
        next
    }

    /// Says by which mechanisms the client may log in, in the answer to its greeting.
    async fn offer_auth(&mut self) {
        if self.listen.auth && self.facts.login().is_none() {
            let Self { mta, snapshot, facts, policy, login, admitted, .. } = self;
            let about = About { mta, snapshot, facts, policy, admitted };
            let offer = Box::pin(login.offer(about)).await;
            self.wire.offer_auth(offer);
        }
    }

    /// What the client says to prove who it is, and what it hears.
    async fn log_in(&mut self, event: Event) {
        stream::forget();
        let Self { mta, snapshot, facts, policy, login, admitted, .. } = self;
        let about = About { mta, snapshot, facts, policy, admitted };
        let said = match event {
            Event::Auth { mechanism, initial } => login.begin(about, mechanism, initial).await,
            Event::AuthResponse(response) => login.answer(about, response).await,
            Event::AuthAborted(error) => return login.aborted(about, error),
            _ => return,
        };
        if let Some(login) =
            self.facts.login().filter(|_| self.listen.kind == ListenKind::Submission)
        {
            self.admitted.place.log_in(login);
        }
        match said {
            Said::Challenge(challenge) => self.wire.challenge(&challenge),
            Said::Reply(reply) => self.wire.reply(&reply),
            Said::Refused { after, challenge } => {
                self.pause(after).await;
                match challenge {
                    Some(challenge) => self.wire.challenge(&challenge),
                    None => self.wire.reply(&self.login.refused()),
                }
            }
        }
    }

    fn mail(&mut self, sender: Option<Path>, parameters: MailParameters) -> Decision {
        self.observer.before_envelope(self.policy.trace());
        if let Err(error) = self.mta.spool.space() {
            return Decision::Refuse(error.reply());
        }
        if let Err(reply) = self.admitted.count(Count::Messages, self.facts.client_ip()) {
            return Decision::Refuse(reply);
        }
        if self.listen.kind == ListenKind::Submission && self.facts.login().is_none() {
            return Decision::Refuse(Reply::must_log_in());
        }
        let sender = sender.map(|path| self.snapshot.policy.domains().complete(path.address));
        let policy = self.policy.begin(sender.clone(), parameters.clone());
        self.envelope = Some(Box::new(Envelope::new(policy, sender, parameters)));
        Decision::Accept
    }

    async fn rcpt(&mut self, path: Path, parameters: RcptParameters) -> Decision {
        let Some(envelope) = &mut self.envelope else { return out_of_turn() };
        if let Err(reply) = self.admitted.count(Count::Recipients, self.facts.client_ip()) {
            return Decision::Refuse(reply);
        }
        let memory = envelope::memory_of(&path, &parameters);
        if let Err(none) = self.admitted.seat.hold(envelope.memory() + memory).await {
            return Decision::Refuse(none.into());
        }
        let decision = envelope.policy.rcpt(path, parameters.clone()).await;
        tarpit(&envelope.policy).await;
        if decision == Decision::Accept {
            envelope.accepted(parameters, memory);
        }
        decision
    }

    async fn data(&mut self) -> Decision {
        let Some(envelope) = &mut self.envelope else { return out_of_turn() };
        let decision = envelope.policy.data().await;
        tarpit(&envelope.policy).await;
        if decision == Decision::Accept {
            envelope.body = Some(self.mta.spool.body());
        }
        decision
    }

    async fn body(&mut self, bytes: Bytes) {
        let Some(envelope) = &mut self.envelope else { return };
        if envelope.body.is_none() {
            return;
        }
        let seat = &mut self.admitted.seat;
        if let Err(none) = seat.hold(envelope.memory() + bytes.len()).await {
            return envelope.fail(none.into());
        }
        let passed = envelope.headers.pass(bytes);
        let completes = self.completes.then_some(self.snapshot.config.hostname.as_str());
        envelope.keep(passed, completes).await;
        if let Err(none) = seat.hold(envelope.memory()).await {
            envelope.fail(none.into());
        }
    }

    /// The message's own reply, or what policy decided against it.
    async fn end_of_data(&mut self, result: Result<(), DataError>) -> Result<Reply, Decision> {
        let Some(envelope) = self.envelope.take() else { return Err(out_of_turn()) };
        let trace = envelope.policy.trace().clone();
        let sender = envelope.sender.clone();
        let (answer, id) = match self.take_message(envelope, result).await {
            Ok((reply, id)) => (Ok(reply), id),
            Err(decision) => (Err(decision), None),
        };
        self.admitted.seat.give_back();
        self.observer.ended(Ended { sender, trace: &trace, answer: &answer, id });
        self.facts.forget_forwarded();
        answer
    }

    async fn take_message(
        &mut self,
        mut envelope: Box<Envelope>,
        result: Result<(), DataError>,
    ) -> Result<(Reply, Option<QueueId>), Decision> {
        let refuse = |reply: Reply| Err(Decision::Refuse(reply));
        if let Err(error) = result {
            return refuse(error.reply());
        }
        let passed = Ok(envelope.headers.finish());
        let completes = self.completes.then_some(self.snapshot.config.hostname.as_str());
        envelope.keep(passed, completes).await;
        let body = match (envelope.body.take(), envelope.failed.take()) {
            (Some(body), None) => body.finish().await.map_err(|error| error.reply()),
            (_, Some(reply)) => Err(reply),
            (None, None) => return Err(out_of_turn()),
        };
        let body = match body {
            Ok(body) => body,
            Err(reply) => return refuse(reply),
        };
        if let Err(none) = self.admitted.seat.hold(envelope.memory_at_end()).await {
            return refuse(none.into());
        }
        let content = bodies::content(body.body());
        // It ends mail loops that no table shows (RFC 5321 section 6.3).
        if envelope.headers.hops() > self.snapshot.config.queue.hop_count {
            let decision = Decision::Refuse(HeadersError::TooManyHops.reply());
            self.observer.message(&*content, || decision.to_string());
            return Err(decision);
        }
        let message = Message::new(content.clone()).storing(self.mta.bodies.clone());
        let decision = envelope.policy.end_of_data(message).await;
        tarpit(&envelope.policy).await;
        if decision != Decision::Accept {
            self.observer.message(&*content, || decision.to_string());
            return Err(decision);
        }
        let outgoing = envelope.policy.finish().await;
        // Most mail never was here, and its headers needn't be read again.
        if (envelope.headers.was_delivered() || outgoing.edited.is_some())
            && let Some(reply) = loops::refusal(
                &self.snapshot.policy,
                envelope.sender.as_ref(),
                &*content,
                &outgoing,
            )
            .await
        {
            let decision = Decision::Refuse(reply);
            self.observer.message(&*content, || decision.to_string());
            return Err(decision);
        }
        self.observer.message(&*content, || simulation::outcome(&outgoing));
        let accepted = Accepted {
            session: &self.facts,
            esmtp: self.facts.esmtp(),
            sender: envelope.sender,
            parameters: &envelope.parameters,
            recipients: &envelope.recipients,
            hide_client: self.listen.hide_client && self.facts.login().is_some(),
            outgoing,
            body,
        };
        match intake::accept(&self.mta, accepted).await {
            Ok(Some(queued)) => {
                let reply = Reply::new(
                    250,
                    status::UNDEFINED,
                    format!("Ok: queued as {}", queued.queue_id),
                );
                Ok((reply, Some(queued.queue_id)))
            }
            Ok(None) => Ok((Reply::ok(), None)),
            Err(reply) => refuse(reply),
        }
    }

    /// Ends the envelope that is open, if any.
    fn leave_envelope(&mut self, outcome: &str) {
        if let Some(envelope) = self.envelope.take() {
            self.admitted.seat.give_back();
            self.observer.left(envelope.sender, envelope.policy.trace(), outcome);
        }
    }
}

/// Whether fields that are missing are added to mail of this client.
fn completes(listen: &Listen, client: IpAddr, local: IpAddr) -> bool {
    // What comes from this machine to itself comes from the address that it goes to.
    let is_local = client == local || client.to_canonical().is_loopback();
    is_local || listen.kind == ListenKind::Submission
}

/// Policy's side of the session.
fn policy(
    snapshot: &Snapshot,
    facts: &Arc<SessionFacts>,
    observer: &Observer,
) -> facteur_policy::Session {
    let chain = snapshot.chain(&facts.listener);
    match observer.services() {
        Some(services) => {
            snapshot.policy.session_with(&chain, facts.clone(), services, Run::Recorded)
        }
        None => snapshot.policy.session(&chain, facts.clone()),
    }
}

/// What comes of this, if it comes before the stop.
async fn unless<T>(
    stop: Pin<&mut impl Future<Output = ()>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = stop => None,
    }
}

async fn tarpit(policy: &Transaction) {
    let delay = policy.take_delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// The machine keeps the order of commands; if it ever doesn't, nothing is let in.
fn out_of_turn() -> Decision {
    Decision::Refuse(Reply::new(451, status::SYSTEM, "Error: no transaction"))
}

fn stage(event: &Event) -> &'static str {
    match event {
        Event::Hello { .. } => "helo",
        Event::Mail { .. } => "mail",
        Event::Rcpt { .. } => "rcpt",
        Event::Data => "data",
        Event::EndOfData(_) | Event::Body(_) => "end-of-data",
        Event::Vrfy(_) => "vrfy",
        Event::StartTls => "starttls",
        Event::XClient(_) | Event::XForward(_) => "connect",
        Event::Auth { .. } | Event::AuthResponse(_) | Event::AuthAborted(_) => "auth",
        Event::Reset | Event::Quit => "session",
    }
}

/// What a recording keeps of it; a message is kept when it was taken.
fn said(event: &Event) -> Option<What> {
    match event {
        Event::Hello { esmtp, name } => Some(What::Hello { name: name.clone(), esmtp: *esmtp }),
        Event::Mail { sender, parameters } => Some(What::Mail {
            sender: sender.as_ref().map(ToString::to_string),
            size: parameters.size,
            utf8: parameters.smtputf8,
        }),
        Event::Rcpt { path, .. } => Some(What::Rcpt { to: path.to_string() }),
        Event::Data => Some(What::Data),
        // What proves a login is recorded nowhere.
        Event::Auth { .. }
        | Event::AuthResponse(_)
        | Event::AuthAborted(_)
        | Event::Body(_)
        | Event::EndOfData(_)
        | Event::Vrfy(_)
        | Event::XClient(_)
        | Event::XForward(_)
        | Event::StartTls
        | Event::Reset
        | Event::Quit => None,
    }
}
