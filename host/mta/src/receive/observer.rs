//! Hears what comes of each thing that a client says, once, and hands it to whoever keeps it: the
//! log, the trace of decisions, a recording.

use std::fmt::Display;
use std::sync::Arc;

use facteur_policy::{Content, Decision, Services, SessionFacts, Trace};
use facteur_smtp::{Address, Reply, ReversePath};
use facteur_spool::QueueId;

use super::mta::Mta;
use crate::decisions::{Kind, Record};
use crate::simulation::{Part, Recording, What};

/// What came of a message at its end.
pub(super) struct Ended<'a> {
    /// The envelope's sender.
    pub sender: ReversePath,
    /// Who was asked.
    pub trace: &'a Trace,
    /// The reply, or what was decided against it.
    pub answer: &'a Result<Reply, Decision>,
    /// Where it was stored.
    pub id: Option<QueueId>,
}

/// The observer of one session.
pub(super) struct Observer {
    mta: Arc<Mta>,
    facts: Arc<SessionFacts>,
    recording: Option<Box<Recording>>,
}

impl Observer {
    /// Observes a session, and records it if anybody wants that; `services` are what its plugins
    /// are lent.
    pub(super) fn new(
        mta: Arc<Mta>,
        facts: Arc<SessionFacts>,
        services: impl FnOnce() -> Arc<Services>,
    ) -> Self {
        let recording = mta.recorder.begin(&facts, services);
        Self { mta, facts, recording }
    }

    /// The session goes on under TLS.
    pub(super) fn under_tls(&mut self, facts: Arc<SessionFacts>) {
        self.facts = facts;
    }

    /// The session goes on as another client's. It isn't recorded: nobody could play again what its
    /// speaker says of it.
    pub(super) fn of_another(&mut self, facts: Arc<SessionFacts>) {
        self.finish();
        self.facts = facts;
    }

    /// What the plugins of a session that is recorded are lent in place of the usual.
    pub(super) fn services(&self) -> Option<Arc<Services>> {
        self.recording.as_ref().map(|recording| recording.services())
    }

    /// Whether what the client says is kept.
    pub(super) fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Something was decided at this stage about what the client said, with this sender if there is
    /// one. Each refusal is a line in the log, in the words that the client hears.
    pub(super) fn decided(
        &mut self,
        stage: &str,
        said: Option<What>,
        decision: &Decision,
        sender: Option<&Address>,
    ) {
        if let Some((recording, said)) = self.recording.as_mut().zip(said) {
            match said {
                // The sender is policy's to judge at RCPT; a MAIL that is refused never was.
                What::Mail { .. } if *decision == Decision::Accept => recording.say(said, None),
                What::Mail { .. } => {}
                said => recording.say(said, Some(decision.to_string())),
            }
        }
        if let Decision::Refuse(reply) | Decision::Drop(reply) = decision {
            self.log_refusal(stage, reply, sender);
        }
    }

    /// The client took back what it said.
    pub(super) fn reset(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.say(What::Reset, None);
        }
    }

    /// What policy and the host's look at loops made of a message.
    pub(super) fn message(&mut self, content: &dyn Content, verdict: impl FnOnce() -> String) {
        let Some(recording) = &mut self.recording else { return };
        // One that can't be read back is none that could be played again.
        if let Ok(part) = Part::of(content, recording.kept()) {
            recording.say(What::Message(part), Some(verdict()));
        }
    }

    /// The data of an envelope ended so.
    pub(super) fn ended(&self, ended: Ended<'_>) {
        let Ended { sender, trace, answer, id } = ended;
        match answer {
            Ok(reply) => self.keep_envelope(sender, trace, reply, id),
            Err(decision) => {
                if let Decision::Refuse(reply) | Decision::Drop(reply) = decision {
                    self.log_refusal("end-of-data", reply, sender.as_ref());
                }
                self.keep_envelope(sender, trace, decision, id);
            }
        }
    }

    /// An envelope ended without its data.
    pub(super) fn left(&self, sender: ReversePath, trace: &Trace, outcome: &str) {
        self.keep_envelope(sender, trace, &outcome, None);
    }

    /// What was decided about an envelope.
    fn keep_envelope(
        &self,
        sender: ReversePath,
        trace: &Trace,
        outcome: &dyn Display,
        id: Option<QueueId>,
    ) {
        if self.mta.decisions.is_on() {
            self.mta.decisions.keep(Record {
                id: id.map(|id| id.to_string()),
                sender: Some(sender.map_or_else(String::new, |sender| sender.to_string())),
                ..Record::session(Kind::Envelope, &self.facts, trace.take(), outcome.to_string())
            });
        }
    }

    /// What was decided before there was an envelope.
    pub(super) fn before_envelope(&self, trace: &Trace) {
        let steps = trace.take();
        if let Some(outcome) = steps.last().map(|step| step.answer.clone().into_owned()) {
            self.mta.decisions.keep(Record::session(Kind::Session, &self.facts, steps, outcome));
        }
    }

    /// The session is over.
    pub(super) fn finish(&mut self) {
        if let Some(recording) = self.recording.take() {
            self.mta.recorder.end(*recording);
        }
    }

    fn log_refusal(&self, stage: &str, reply: &Reply, sender: Option<&Address>) {
        if !self.mta.repeats.is_told(self.facts.client_ip()) {
            return;
        }
        tracing::info!(
            client = %self.facts.client_ip(),
            helo = self.facts.helo().unwrap_or_default(),
            from = sender.map(ToString::to_string).unwrap_or_default(),
            stage,
            reply = %reply,
            "refused"
        );
    }
}
