//! Plays a dialogue to policy.

use std::fmt::Write as _;
use std::sync::Arc;

use facteur_policy::{
    Chain, Consignment, Decision, FinalRecipient, Message, Outgoing, Overlay, Policy, Run,
    Services, SessionFacts, Tags, TraceStep, Transaction,
};
use facteur_smtp::{HeadersError, MailParameters, Path, RcptParameters, Reply, status};
use tracing::Instrument as _;

use super::dialogue::{Dialogue, Said, What};
use crate::decisions::{Kind, Record};
use crate::snapshot::Snapshot;

/// Plays a dialogue that the operator made up to the configuration in force. An empty listener is
/// the first.
///
/// # Errors
/// There is no such listener.
pub async fn simulate(snapshot: &Snapshot, mut dialogue: Dialogue) -> Result<Record, String> {
    let listeners = &snapshot.config.listen;
    let listen = match &dialogue.listener {
        name if name.is_empty() => listeners.first(),
        name => listeners.iter().find(|listen| listen.name == *name),
    };
    let Some(listen) = listen else {
        let all: Vec<_> = listeners.iter().map(|listen| listen.name.as_str()).collect();
        return Err(format!(
            "there is no listener {} (these are there: {})",
            dialogue.listener,
            all.join(", ")
        ));
    };
    dialogue.listener.clone_from(&listen.name);
    let services = snapshot.policy.services();
    let counters = Arc::new(Overlay::new(services.counters.clone()));
    let stage = Simulation {
        policy: &snapshot.policy,
        chain: snapshot.chain(&listen.name),
        services: Arc::new(services.simulated(counters, false)),
        run: Run::Simulated,
        trusted: snapshot.config.networks.contains(dialogue.client.ip().to_canonical()),
        hop_count: snapshot.config.queue.hop_count,
    };
    let (said, steps) = play(&stage, &dialogue).await;
    let hello = said.iter().find_map(|one| match &one.what {
        What::Hello { name, .. } => Some(name.clone()),
        _ => None,
    });
    let sender = said.iter().find_map(|one| match &one.what {
        What::Mail { sender, .. } => Some(sender.clone().unwrap_or_default()),
        _ => None,
    });
    let last = said.iter().rev().find_map(|one| one.verdict.clone());
    Ok(Record {
        kind: Kind::Envelope,
        time: dialogue.time,
        session: Some(dialogue.session),
        id: None,
        client: Some((dialogue.client.ip().to_string(), dialogue.listener)),
        helo: hello,
        sender,
        recipient: None,
        steps,
        outcome: last.unwrap_or_else(|| "nothing was asked".into()),
    })
}

/// What a session is played to, without mail.
pub struct Simulation<'a> {
    /// The plugins.
    pub policy: &'a Arc<Policy>,
    /// Those that the listener asks.
    pub chain: Chain,
    /// What they are lent.
    pub services: Arc<Services>,
    /// What for.
    pub run: Run,
    /// Whether the client is in a trusted network.
    pub trusted: bool,
    /// The most `Received:` headers that a message may have.
    pub hop_count: usize,
}

/// The dialogue with the verdicts of this stage, and the steps that led to them.
pub async fn play(stage: &Simulation<'_>, dialogue: &Dialogue) -> (Vec<Said>, Vec<TraceStep>) {
    let facts = SessionFacts::new(
        dialogue.session.clone(),
        dialogue.listener.clone(),
        dialogue.client,
        stage.trusted,
    );
    if let Some(login) = &dialogue.login {
        facts.set_login(login.clone());
    }
    let session =
        stage.policy.session_with(&stage.chain, Arc::new(facts), stage.services.clone(), stage.run);
    let mut player =
        Player { stage, session, envelope: None, accepted: 0, ready: false, steps: Vec::new() };
    // As a real session: lines of the log name it.
    let span = tracing::error_span!("session", session = dialogue.session);
    let said = player.play(&dialogue.said).instrument(span).await;
    (said, player.steps)
}

struct Player<'a> {
    stage: &'a Simulation<'a>,
    session: facteur_policy::Session,
    envelope: Option<Transaction>,
    /// Recipients of the envelope that were accepted.
    accepted: usize,
    /// DATA was accepted.
    ready: bool,
    steps: Vec<TraceStep>,
}

struct Verdict {
    text: String,
    /// The client is sent away.
    gone: bool,
}

impl From<Decision> for Verdict {
    fn from(decision: Decision) -> Self {
        Self { text: decision.to_string(), gone: matches!(decision, Decision::Drop(_)) }
    }
}

impl Player<'_> {
    async fn play(&mut self, all: &[Said]) -> Vec<Said> {
        let mut said = Vec::new();
        for one in all {
            let verdict = self.say(&one.what).await;
            let gone = verdict.as_ref().is_some_and(|it| it.gone);
            said.push(Said { what: one.what.clone(), verdict: verdict.map(|it| it.text) });
            if gone {
                break;
            }
        }
        self.close();
        said
    }

    async fn say(&mut self, what: &What) -> Option<Verdict> {
        let out_of_turn = || {
            Verdict::from(Decision::Refuse(Reply::new(
                503,
                status::INVALID_COMMAND,
                "Error: out of turn",
            )))
        };
        let answer = match what {
            What::Connect => match self.session.connect().await {
                // The session ends with this reply.
                Decision::Refuse(reply) => Verdict { gone: true, ..Decision::Refuse(reply).into() },
                decision => decision.into(),
            },
            What::Hello { name, esmtp } => self.session.hello(name, *esmtp).await.into(),
            What::Mail { sender, size, utf8 } => {
                self.close();
                (self.accepted, self.ready) = (0, false);
                let sender = match sender.as_deref().map(str::parse::<Path>).transpose() {
                    Ok(sender) => sender,
                    Err(error) => return Some(bad_address(error)),
                };
                let sender = sender.map(|path| self.stage.policy.domains().complete(path.address));
                let parameters =
                    MailParameters { size: *size, smtputf8: *utf8, ..MailParameters::default() };
                self.envelope = Some(self.session.begin(sender, parameters));
                return None;
            }
            What::Rcpt { to } => {
                let Some(envelope) = &mut self.envelope else { return Some(out_of_turn()) };
                match to.parse::<Path>() {
                    Ok(path) => {
                        let decision = envelope.rcpt(path, RcptParameters::default()).await;
                        self.accepted += usize::from(decision == Decision::Accept);
                        decision.into()
                    }
                    Err(error) => bad_address(error),
                }
            }
            What::Data => {
                let Some(envelope) = &mut self.envelope else { return Some(out_of_turn()) };
                let decision =
                    if self.accepted > 0 { envelope.data().await } else { nobody(envelope) };
                self.ready = decision == Decision::Accept;
                decision.into()
            }
            What::Message(part) => {
                // A client that isn't told to go on sends nothing.
                let envelope = if self.ready { self.envelope.take()? } else { return None };
                self.take(envelope, part.clone()).await
            }
            What::Reset => {
                self.close();
                return None;
            }
        };
        Some(answer)
    }

    async fn take(&mut self, mut envelope: Transaction, part: super::content::Part) -> Verdict {
        let hops = part.hops();
        let content: Arc<dyn facteur_policy::Content> = Arc::new(part);
        let decision = if hops > self.stage.hop_count {
            Decision::Refuse(HeadersError::TooManyHops.reply())
        } else {
            envelope.end_of_data(Message::new(content)).await
        };
        let trace = envelope.trace().clone();
        let accepted = decision == Decision::Accept;
        let mut verdict = Verdict::from(decision);
        let mut routes = Vec::new();
        if accepted {
            let outgoing = envelope.finish().await;
            verdict.text = outcome(&outgoing);
            routes = self.routes(&outgoing).await;
        }
        self.close();
        self.steps.extend(trace.take());
        self.steps.extend(routes);
        verdict
    }

    /// Where it would go.
    async fn routes(&self, outgoing: &Outgoing) -> Vec<TraceStep> {
        let trace = Arc::default();
        let tags = Tags::restore(outgoing.tags.clone());
        for one in
            outgoing.recipients.iter().filter(|one| one.refusal.is_none() && !outgoing.discard)
        {
            let of = Consignment {
                sender: one.sender.as_ref(),
                tags: &tags,
                utf8: false,
                address: &one.address,
                original: &one.original,
            };
            let next = self
                .stage
                .policy
                .next_hop_with(of, &self.stage.services, self.stage.run, &trace)
                .await;
            let answer =
                next.map_or_else(|later| format!("waits: {later}"), |route| route.to_string());
            trace.host("next hop", Some(one.address.to_string()), answer);
        }
        trace.take()
    }

    /// The envelope ends, whatever came of it.
    fn close(&mut self) {
        self.steps.extend(self.session.trace().take());
        if let Some(envelope) = self.envelope.take() {
            self.steps.extend(envelope.trace().take());
        }
    }
}

/// The protocol's own refusal: policy isn't asked.
fn nobody(envelope: &Transaction) -> Decision {
    let decision = Decision::Refuse(Reply::no_valid_recipients());
    envelope.trace().host("DATA", None, decision.to_string());
    decision
}

fn bad_address(error: facteur_smtp::AddressError) -> Verdict {
    Decision::Refuse(Reply::new(
        501,
        status::BAD_MAILBOX_SYNTAX,
        format!("Bad address syntax: {error}"),
    ))
    .into()
}

/// What becomes of an accepted message, in a line: the same for the same outcome.
pub fn outcome(outgoing: &Outgoing) -> String {
    if outgoing.discard {
        return "accepted, and thrown away".into();
    }
    let one = |one: &FinalRecipient| match &one.refusal {
        Some(reply) if reply.is_transient() => {
            format!("<{}> (asked again later: {reply})", one.address)
        }
        Some(reply) => format!("<{}> (refused: {reply})", one.address),
        None => format!("<{}>", one.address),
    };
    let to = outgoing.recipients.iter().map(one).collect::<Vec<_>>().join(", ");
    let held =
        outgoing.actions.hold.as_ref().map_or_else(String::new, |why| format!("; held: {why}"));
    let mut text = format!("accepted for {to}{held}");
    // Writing to a String can't fail.
    if let Some(why) = &outgoing.actions.quarantine {
        let _ = write!(text, "; in quarantine: {why}");
    }
    if let Some(sender) = &outgoing.sender {
        let _ = write!(
            text,
            "; from <{}>",
            sender.as_ref().map(ToString::to_string).unwrap_or_default()
        );
    }
    if let Some(edited) = &outgoing.edited {
        let _ = write!(text, "; edited, {} bytes", edited.content().size());
    }
    for (name, value) in &outgoing.actions.headers {
        let _ = write!(text, "; {name}: {value}");
    }
    text
}
