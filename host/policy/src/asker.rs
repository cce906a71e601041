//! Asks the plugins of a chain on behalf of one transaction, each in one fresh sandbox for as long as the transaction lasts.
//!
//! Sandboxes are made when first needed, and dropped when no later stage can need them, or when they run short: the contract
//! doesn't promise that a plugin's memory lasts from one question to the next. Questions come one after the
//! other; the one that comes within another (a restriction asks `listed`, which asks the alias hook, perhaps of the same plugin) finds
//! its sandbox taken, and gets one of its own.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use facteur_smtp::Address;
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::expansion::Expansion;
use crate::facts::{EnvelopeFacts, RecipientFacts, SessionFacts};
use crate::message::Message;
use crate::policy::{Chain, Policy};
use crate::sandbox::{CallError, Sandbox, State, View};

/// The plugins of one transaction.
pub(crate) struct Asker {
    pub policy: Arc<Policy>,
    pub chain: Chain,
    pub session: Arc<SessionFacts>,
    pub envelope: Option<Arc<EnvelopeFacts>>,
    /// One place for each plugin of the chain.
    sandboxes: Vec<Mutex<Option<Sandbox>>>,
    message: Mutex<Option<Message>>,
    expansions: Mutex<HashMap<Address, Arc<Expansion>>>,
    this: Weak<Asker>,
}

impl Asker {
    pub(crate) fn new(
        policy: Arc<Policy>,
        chain: Chain,
        session: Arc<SessionFacts>,
        envelope: Option<Arc<EnvelopeFacts>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            policy,
            sandboxes: chain.iter().map(|_| Mutex::default()).collect(),
            chain,
            session,
            envelope,
            message: Mutex::default(),
            expansions: Mutex::default(),
            this: this.clone(),
        })
    }

    /// Asks the plugin with this number in the chain. An answer that isn't one has been logged when this returns.
    pub(crate) async fn ask<T>(
        &self,
        number: usize,
        hook: &'static str,
        question: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let plugin = &self.chain[number];
        let answer = self.ask_in_sandbox(number, question).await;
        if let Err(error) = &answer {
            let millis = started.elapsed().as_millis();
            tracing::warn!(
                session = self.session.id, plugin = plugin.name, hook, error = %error, kind = error.label(), millis,
                "no answer from the plugin"
            );
        }
        answer
    }

    async fn ask_in_sandbox<T>(
        &self,
        number: usize,
        question: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let plugin = &self.chain[number];
        let kept = self.sandboxes[number].lock().take();
        let mut sandbox = match kept {
            Some(sandbox) => sandbox,
            None => Sandbox::new(&self.policy.runtime, plugin, &self.policy.services, self.view()).await?,
        };
        sandbox.state().view.message.clone_from(&self.message.lock());
        let (sandbox, answer) = sandbox.ask(question).await?;
        if !self.policy.runtime.is_short() {
            *self.sandboxes[number].lock() = Some(sandbox);
        }
        Ok(answer)
    }

    fn view(&self) -> View {
        View {
            session: Some(self.session.clone()),
            envelope: self.envelope.clone(),
            message: None,
            asker: Some(self.this.clone()),
        }
    }

    /// From now on the plugins see the message.
    pub(crate) fn show(&self, message: Message) {
        *self.message.lock() = Some(message);
    }

    /// Drops the sandboxes of the plugins for which this is false: a client that is slow with its data holds no more than needed.
    pub(crate) fn retain(&self, needed: impl Fn(&crate::plugin::Plugin) -> bool) {
        for (place, plugin) in self.sandboxes.iter().zip(self.chain.iter()) {
            if !needed(plugin) {
                place.lock().take();
            }
        }
    }

    /// What an address really stands for: asked once, and kept.
    pub(crate) async fn expansion(&self, recipient: &RecipientFacts) -> Arc<Expansion> {
        if let Some(known) = self.expansions.lock().get(&recipient.address) {
            return known.clone();
        }
        let found = Arc::new(Expansion::of(self, recipient.address.clone()).await);
        self.expansions.lock().insert(recipient.address.clone(), found.clone());
        found
    }

    /// Whether an alias plugin or a mailbox vouches for the address.
    pub(crate) async fn listed(&self, recipient: &RecipientFacts) -> Result<bool, CallError> {
        self.expansion(recipient).await.listed()
    }
}
