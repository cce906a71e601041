//! Policy's side of one connection: what is asked before there is an envelope.
//!
//! By default nothing is: connect and helo wait for the first RCPT, in the transaction's own
//! sandboxes, so that logins, exemptions and logs work. Only plugins with `early = true` are asked
//! at once, in sandboxes that are thrown away.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use facteur_smtp::{Address, Reply};

use crate::asker::{Asker, Matter};
use crate::facts::{EnvelopeFacts, Hello, SessionFacts};
use crate::hooks::restriction::{self, Outcome, Settled, Stage};
use crate::story::{Story, Told};
use crate::transaction::Transaction;

/// What the client is to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The host's usual yes.
    Accept,
    /// This 4yz or 5yz.
    Refuse(Reply),
    /// This, and the connection ends.
    Drop(Reply),
}

impl Told for Decision {
    fn told(&self) -> Cow<'static, str> {
        match self {
            Self::Accept => "accepted".into(),
            refused => refused.to_string().into(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accepted"),
            Self::Refuse(reply) => write!(f, "refused: {reply}"),
            Self::Drop(reply) => write!(f, "sent away: {reply}"),
        }
    }
}

/// One connection.
pub struct Session {
    /// Without an envelope.
    pub(crate) matter: Matter,
    facts: Arc<SessionFacts>,
}

impl Session {
    pub(crate) fn new(matter: Matter, facts: Arc<SessionFacts>) -> Self {
        Self { matter, facts }
    }

    /// What is known of the connection.
    pub fn facts(&self) -> &Arc<SessionFacts> {
        &self.facts
    }

    /// The client is there, and has not been greeted yet.
    pub async fn connect(&self) -> Decision {
        self.early(Stage::Connect).await
    }

    /// HELO or EHLO came.
    pub async fn hello(&self, name: &str, esmtp: bool) -> Decision {
        *self.facts.hello.lock() = Some(Hello { name: name.to_owned(), esmtp });
        self.early(Stage::Helo).await
    }

    async fn early(&self, stage: Stage) -> Decision {
        if !self.matter.chain.iter().any(|plugin| plugin.early) {
            return Decision::Accept;
        }
        let asker = Asker::new(self.matter.clone());
        let settled =
            restriction::ask(&asker, stage, |plugin| plugin.early, Settled::default()).await;
        let decision = match settled.outcome {
            // There is no message to discard yet, and no recipient to relay to.
            Outcome::Open | Outcome::AllowRelay | Outcome::Discard => Decision::Accept,
            Outcome::Refuse(reply) => Decision::Refuse(reply),
            Outcome::Drop(reply) => Decision::Drop(reply),
        };
        self.matter.story.host(stage.word(), None, decision.told());
        decision
    }

    /// MAIL came. None is the null sender; `declared_size` is in bytes.
    pub fn begin(
        &self,
        sender: Option<Address>,
        declared_size: Option<u64>,
        utf8: bool,
    ) -> Transaction {
        let domains = &self.matter.policy.domains;
        let envelope =
            EnvelopeFacts { declared_size, utf8, ..EnvelopeFacts::new(domains, sender, true) };
        let envelope = Some(Arc::new(envelope));
        Transaction::new(Asker::new(Matter {
            envelope,
            story: Arc::default(),
            ..self.matter.clone()
        }))
    }

    /// What plugins said before there was an envelope. A story of its own has each [`Transaction`].
    pub fn story(&self) -> &Story {
        &self.matter.story
    }
}
