//! Asks the plugins of a chain on behalf of one transaction, each in one fresh sandbox for as long as the transaction lasts.
//!
//! This is the one door to a plugin after its load: whatever the hook, the question is timed, bounded, told to the log and to the
//! [`Story`], and one that isn't answered comes out as a [`CallError`].
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

use crate::bindings::facteur::policy::types::Failure;
use crate::expansion::Expansion;
use crate::facts::{EnvelopeFacts, RecipientFacts, SessionFacts};
use crate::imports::printable;
use crate::message::{Edited, Message};
use crate::plugin::Plugin;
use crate::policy::{Chain, Policy};
use crate::sandbox::{CallError, Sandbox, State, View};
use crate::services::Services;
use crate::story::{Step, Story, Told};

/// For whom plugins are asked.
#[derive(Clone)]
pub(crate) struct Matter {
    pub policy: Arc<Policy>,
    /// Who is asked, in order.
    pub chain: Chain,
    /// None in the queue.
    pub session: Option<Arc<SessionFacts>>,
    /// None before MAIL.
    pub envelope: Option<Arc<EnvelopeFacts>>,
    /// What is lent.
    pub services: Arc<dyn Services>,
    /// Where the answers are told.
    pub story: Arc<Story>,
}

/// What is asked, for the log and the story.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The hook, or the stage of a restriction.
    pub name: &'static str,
    /// The address that it is about, if any.
    pub about: Option<&'a Address>,
}

/// The plugins of one transaction.
pub(crate) struct Asker {
    pub matter: Matter,
    /// One place for each plugin of the chain.
    sandboxes: Vec<Mutex<Option<Sandbox>>>,
    message: Mutex<Option<Message>>,
    expansions: Mutex<HashMap<Address, Arc<Expansion>>>,
    this: Weak<Asker>,
}

impl std::ops::Deref for Asker {
    type Target = Matter;

    fn deref(&self) -> &Matter {
        &self.matter
    }
}

impl Asker {
    pub(crate) fn new(matter: Matter) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            sandboxes: matter.chain.iter().map(|_| Mutex::default()).collect(),
            matter,
            message: Mutex::default(),
            expansions: Mutex::default(),
            this: this.clone(),
        })
    }

    /// Asks the plugin with this number in the chain. What it answers has been logged and told when this returns, an answer that isn't one too.
    pub(crate) async fn ask<T: Told>(
        &self,
        number: usize,
        question: Question<'_>,
        call: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<Result<T, Failure>>,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let plugin = &self.chain[number];
        let answer = match self.ask_in_sandbox(number, plugin, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => {
                Err(CallError::Failure { transient: failure.transient, reason: printable(&failure.reason) })
            }
            Err(error) => Err(error),
        };
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.tell(plugin, question, &answer, micros);
        answer
    }

    fn tell<T: Told>(&self, plugin: &Plugin, question: Question<'_>, answer: &Result<T, CallError>, micros: u64) {
        let session = self.session.as_ref().map(|session| session.id.as_str());
        let Question { name, about } = question;
        let told = match answer {
            Ok(answer) => answer.told(),
            Err(error) => format!("{}: {error}", error.label()),
        };
        let about = about.map(ToString::to_string);
        if answer.is_ok() {
            tracing::debug!(session, plugin = plugin.name, question = name, about, answer = told, micros, "asked");
        } else {
            tracing::warn!(session, plugin = plugin.name, question = name, about, answer = told, micros, "no answer");
        }
        self.story.add(Step {
            plugin: Some(plugin.name.clone()),
            question: name.to_owned(),
            about,
            answer: told,
            micros,
            shadow: false,
        });
    }

    async fn ask_in_sandbox<T>(
        &self,
        number: usize,
        plugin: &Arc<Plugin>,
        call: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let kept = self.sandboxes[number].lock().take();
        let mut sandbox = match kept {
            Some(sandbox) => sandbox,
            None => Sandbox::new(&self.policy.runtime, plugin, &self.services, self.view()).await?,
        };
        sandbox.state().view.message.clone_from(&self.message.lock());
        let (sandbox, answer) = sandbox.ask(call).await?;
        if !self.policy.runtime.is_short() {
            *self.sandboxes[number].lock() = Some(sandbox);
        }
        Ok(answer)
    }

    fn view(&self) -> View {
        View {
            session: self.session.clone(),
            envelope: self.envelope.clone(),
            message: None,
            asker: Some(self.this.clone()),
        }
    }

    /// From now on the plugins see the message.
    pub(crate) fn show(&self, message: Message) {
        *self.message.lock() = Some(message);
    }

    /// What content plugins made of the message, if they changed anything.
    pub(crate) fn edited(&self) -> Option<Edited> {
        self.message.lock().as_ref().and_then(Message::edited)
    }

    /// Drops the sandboxes of the plugins for which this is false: a client that is slow with its data holds no more than needed.
    pub(crate) fn retain(&self, needed: impl Fn(&Plugin) -> bool) {
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
