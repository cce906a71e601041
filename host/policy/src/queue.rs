//! Policy's side of the queue: who gets what the program itself sends, and what follows from an
//! attempt. (Where a recipient goes next is the queue's question too, and RCPT's: it stands in
//! [`crate::directory`].)

use std::path::Path;
use std::sync::Arc;

use facteur_smtp::Address;

use crate::contract::context::Scope;
use crate::directory::{Directory, Inquiry};
use crate::facts::{Consignment, EnvelopeFacts};
use crate::hooks::delivery::{self, Advice, Attempted};
use crate::hooks::expansion::Expansion;
use crate::plugin::Chain;
use crate::policy::Policy;
use crate::recipients::{FinalRecipient, Gathering};
use crate::run::Run;
use crate::trace::Trace;

impl Policy {
    /// Who really gets what the program itself sends to this address (a bounce): aliases apply,
    /// restrictions don't.
    pub async fn resolve(self: &Arc<Self>, to: Address, trace: &Arc<Trace>) -> Vec<FinalRecipient> {
        self.resolve_again(to, None, trace).await
    }

    /// The same for a recipient with a [`FinalRecipient::refusal`] of 4yz, and for its `list`.
    pub async fn resolve_again(
        self: &Arc<Self>,
        to: Address,
        list: Option<&Path>,
        trace: &Arc<Trace>,
    ) -> Vec<FinalRecipient> {
        let envelope = Arc::new(EnvelopeFacts::new(&self.domains, None));
        let directory = self.queued(self.chain(None), envelope, trace);
        let mut gathering = Gathering::new(&directory.dispatch);
        match list {
            None => gathering.add(to).await,
            Some(list) => {
                let closed = Expansion::of_list(&directory.dispatch, to.clone(), list);
                gathering.take(None, &to, &closed.results).await;
            }
        }
        gathering.finish()
    }

    /// Whether any plugin wants to hear of attempts.
    pub fn advises(&self) -> bool {
        !self.advisers.is_empty()
    }

    /// What the plugins make of an attempt.
    pub async fn advice(
        self: &Arc<Self>,
        of: Consignment<'_>,
        attempted: Attempted<'_>,
        trace: &Arc<Trace>,
    ) -> Advice {
        let chain = self.draw(&self.advisers, of.address);
        let directory = self.queued(chain, of.envelope(&self.domains), trace);
        delivery::ask(&directory.dispatch, of.recipient(&self.domains), attempted).await
    }

    fn queued(
        self: &Arc<Self>,
        chain: Chain,
        envelope: Arc<EnvelopeFacts>,
        trace: &Arc<Trace>,
    ) -> Arc<Directory> {
        let inquiry =
            Inquiry { services: self.services.clone(), run: Run::Live, trace: trace.clone() };
        Directory::new(self, chain, Scope::Queue(envelope), inquiry)
    }
}
