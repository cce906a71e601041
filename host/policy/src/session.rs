//! Policy's side of one connection: what is asked before there is an envelope.
//!
//! By default nothing is: connect and helo wait for the first RCPT, in the transaction's own
//! sandboxes, so that logins, exemptions and logs work. Only plugins with `early = true` are asked
//! at once, in sandboxes that are thrown away.

use std::sync::Arc;

use facteur_smtp::{MailParameters, ReversePath};

use crate::contract::context::Scope;
use crate::contract::exports::HookName;
use crate::credentials::Credentials;
use crate::decision::Decision;
use crate::directory::{Directory, Inquiry};
use crate::facts::{EnvelopeFacts, Hello, SessionFacts};
use crate::hooks::authenticate::{self, Authenticated};
use crate::hooks::restriction::{self, Outcome, Settled};
use crate::plugin::Chain;
use crate::policy::Policy;
use crate::run::Run;
use crate::services::Services;
use crate::trace::{Told, Trace};
use crate::transaction::Transaction;

/// One connection.
pub struct Session {
    policy: Arc<Policy>,
    chain: Chain,
    facts: Arc<SessionFacts>,
    inquiry: Inquiry,
}

impl Policy {
    /// The policy's side of one connection.
    pub fn session(self: &Arc<Self>, chain: &Chain, facts: Arc<SessionFacts>) -> Session {
        self.session_with(chain, facts, self.services.clone(), Run::Live)
    }

    /// The same with other services, for another kind of run.
    pub fn session_with(
        self: &Arc<Self>,
        chain: &Chain,
        facts: Arc<SessionFacts>,
        services: Arc<Services>,
        run: Run,
    ) -> Session {
        Session {
            policy: self.clone(),
            chain: self.draw(chain, &facts.id),
            facts,
            inquiry: Inquiry { services, run, trace: Arc::default() },
        }
    }
}

impl Policy {
    /// Whether a plugin of the chain can say who a client is.
    pub fn authenticates(chain: &Chain) -> bool {
        chain.iter().any(|plugin| plugin.wants(HookName::Authenticate))
    }
}

impl Session {
    /// What is known of the connection.
    pub fn facts(&self) -> &Arc<SessionFacts> {
        &self.facts
    }

    /// The client is there, and has not been greeted yet.
    pub async fn connect(&self) -> Decision {
        let decision = self.early(HookName::Connect).await;
        self.facts.connected();
        decision
    }

    /// HELO or EHLO came.
    pub async fn hello(&self, name: &str, esmtp: bool) -> Decision {
        *self.facts.hello.lock() = Some(Hello { name: name.to_owned(), esmtp });
        self.early(HookName::Helo).await
    }

    async fn early(&self, stage: HookName) -> Decision {
        if !self.chain.iter().any(|plugin| plugin.early) {
            return Decision::Accept;
        }
        let dispatch = &self.asking().dispatch;
        let early =
            restriction::ask(dispatch, stage.into(), |plugin| plugin.early, Settled::default());
        let decision = match early.await.outcome {
            // There is no message to discard yet, and no recipient to relay to.
            Outcome::Open | Outcome::AllowRelay | Outcome::Discard => Decision::Accept,
            Outcome::Refuse(reply) => Decision::Refuse(reply),
            Outcome::Drop(reply) => Decision::Drop(reply),
        };
        self.trace().host(stage.word(), None, decision.told());
        decision
    }

    /// Whether there is a plugin to ask: whether AUTH is to be offered.
    pub fn authenticates(&self) -> bool {
        Policy::authenticates(&self.chain)
    }

    /// AUTH came, and these are what it brought.
    pub async fn authenticate(&self, credentials: Credentials) -> Authenticated {
        authenticate::ask(&self.asking().dispatch, &self.facts, credentials).await
    }

    /// The plugins, where there is no envelope.
    fn asking(&self) -> Arc<Directory> {
        let scope = Scope::Session(self.facts.clone());
        Directory::new(&self.policy, self.chain.clone(), scope, self.inquiry.clone())
    }

    /// MAIL came. None is the null sender.
    pub fn begin(&self, sender: ReversePath, parameters: MailParameters) -> Transaction {
        let domains = &self.policy.domains;
        let envelope = EnvelopeFacts { parameters, ..EnvelopeFacts::new(domains, sender) };
        let inquiry = Inquiry { trace: Arc::default(), ..self.inquiry.clone() };
        let (session, envelope) = (self.facts.clone(), Arc::new(envelope));
        Transaction::new(&self.policy, self.chain.clone(), session, envelope, inquiry)
    }

    /// What plugins said before there was an envelope. A trace of its own has each [`Transaction`].
    pub fn trace(&self) -> &Trace {
        &self.inquiry.trace
    }
}
