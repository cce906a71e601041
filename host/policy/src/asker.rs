//! Asks the plugins of a chain on behalf of one transaction, each in one fresh sandbox for as long
//! as the transaction lasts.
//!
//! This is the one door to a plugin after its load: whatever the hook, the question is timed,
//! bounded, told to the log and to the [`Story`], and one that isn't answered comes out as a
//! [`CallError`].
//!
//! Sandboxes are made when first needed, and dropped when no later stage can need them, or when
//! they run short: the contract doesn't promise that a plugin's memory lasts from one question to
//! the next. Questions come one after the other; the one that comes within another (a restriction
//! asks `listed`, which asks the alias hook, perhaps of the same plugin) finds its sandbox taken,
//! and gets one of its own. Plugins with `isolation = "shared"` get one for each question.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use facteur_smtp::Address;
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::contract::bindings::facteur::policy::types::Failure;
use crate::contract::imports::printable;
use crate::contract::sandbox::{CallError, Sandbox, State, View};
use crate::facts::{EnvelopeFacts, RecipientFacts, SessionFacts};
use crate::hooks::alias::Expansion;
use crate::message::{Edited, Message};
use crate::plugin::{Isolation, Mode, Plugin};
use crate::policy::{Chain, Policy};
use crate::run::Run;
use crate::services::Services;
use crate::story::{Step, Story, Told};

/// How long a session waits after a question that broke its sandbox. It takes more computing than
/// any other, and a client that finds out how to bring it about can do so as fast as it is
/// answered: this leaves the processors to the others.
const AFTER_BREAKING: Duration = Duration::from_millis(50);

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
    pub services: Arc<Services>,
    /// What for.
    pub run: Run,
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

struct Shadow {
    session: Option<Arc<SessionFacts>>,
    envelope: Option<Arc<EnvelopeFacts>>,
}

/// The plugins of one transaction.
pub(crate) struct Asker {
    pub matter: Matter,
    /// One place for each plugin of the chain.
    places: Vec<Place>,
    message: Mutex<Option<Message>>,
    expansions: Mutex<HashMap<Address, Arc<Expansion>>>,
    /// The facts of plugins in the shadow, by their numbers.
    shadows: Mutex<HashMap<usize, Shadow>>,
    this: Weak<Asker>,
}

/// What a transaction has of one plugin.
#[derive(Default)]
struct Place {
    sandbox: Mutex<Option<Sandbox>>,
    /// Questions to it under way: more than one if they are nested.
    asking: AtomicU32,
}

/// A question under way.
struct Asking<'a>(&'a Place);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
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
            places: matter.chain.iter().map(|_| Place::default()).collect(),
            matter,
            message: Mutex::default(),
            expansions: Mutex::default(),
            shadows: Mutex::default(),
            this: this.clone(),
        })
    }

    /// Asks the plugin with this number in the chain. What it answers has been logged and told when
    /// this returns, an answer that isn't one too. None: its mode is `shadow`, so that its answer,
    /// whatever it was, decides nothing.
    pub(crate) async fn ask<T: Told>(
        &self,
        number: usize,
        question: Question<'_>,
        call: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<Result<T, Failure>>,
    ) -> Result<Option<T>, CallError> {
        let started = Instant::now();
        let plugin = &self.chain[number];
        let mut deeds = Vec::new();
        let answer = match self.ask_in_sandbox(number, plugin, call).await {
            Ok((Ok(answer), done)) => {
                deeds = done;
                Ok(answer)
            }
            Ok((Err(failure), _)) => Err(CallError::Failure {
                transient: failure.transient,
                reason: printable(&failure.reason),
            }),
            Err(error) => Err(error),
        };
        let took = started.elapsed();
        // A simulation says nothing about how the plugin does.
        if self.run.is_real() {
            plugin.statistics.note(&plugin.name, took, answer.as_ref().err());
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.tell(plugin, question, &answer, &deeds, micros);
        if let Err(CallError::Trap(_) | CallError::TooMuchCpu(_)) = answer {
            tokio::time::sleep(AFTER_BREAKING).await;
        }
        match plugin.mode {
            Mode::Enforce => answer.map(Some),
            Mode::Shadow => Ok(None),
        }
    }

    fn tell<T: Told>(
        &self,
        plugin: &Plugin,
        question: Question<'_>,
        answer: &Result<T, CallError>,
        deeds: &[String],
        micros: u64,
    ) {
        let Question { name, about } = question;
        let mut told = match answer {
            Ok(answer) => answer.told(),
            Err(error) => format!("{}: {error}", error.label()).into(),
        };
        for deed in deeds {
            let told = told.to_mut();
            told.push_str("; ");
            told.push_str(deed);
        }
        let about = about.map(ToString::to_string);
        if answer.is_ok() {
            tracing::debug!(
                plugin = plugin.name,
                question = name,
                about,
                answer = &*told,
                micros,
                "asked"
            );
        } else {
            tracing::warn!(
                plugin = plugin.name,
                question = name,
                about,
                answer = &*told,
                micros,
                "no answer"
            );
        }
        self.story.add(Step {
            plugin: Some(plugin.name.clone()),
            question: name.into(),
            about,
            answer: told,
            micros,
            shadow: plugin.mode == Mode::Shadow,
        });
    }

    async fn ask_in_sandbox<T>(
        &self,
        number: usize,
        plugin: &Arc<Plugin>,
        call: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<(T, Vec<String>), CallError> {
        let (runtime, place) = (&self.policy.runtime, &self.places[number]);
        let within = place.asking.fetch_add(1, Ordering::Relaxed) > 0;
        let _asking = Asking(place);
        let kept = place.sandbox.lock().take();
        // What is lent in a simulation goes before what is lent to the plugin alone.
        let real = self.run.is_real();
        let services = plugin.services.as_ref().filter(|_| real).unwrap_or(&self.services);
        let mut sandbox = match kept {
            Some(sandbox) => sandbox,
            // No simulation may leave a trace in an instance that is asked for real.
            None if real => Sandbox::get(runtime, plugin, services, within).await?,
            None => Sandbox::new(runtime, plugin, services).await?,
        };
        sandbox.state().view = self.view(number, plugin);
        let asked = sandbox.ask(call).await;
        if !within {
            // What a question within this one left here has no place in the plugin's share.
            place.sandbox.lock().take();
        }
        let (mut sandbox, answer) = asked?;
        let deeds = std::mem::take(&mut sandbox.state().deeds);
        if !runtime.is_short() {
            if plugin.isolation == Isolation::Shared && real {
                runtime.idle.put(sandbox);
            } else if !plugin.quota.is_short() {
                *place.sandbox.lock() = Some(sandbox);
            }
        }
        Ok((answer, deeds))
    }

    /// What a plugin looks at. In the shadow it has facts of its own, kept up to date: what it does
    /// to them is nobody else's.
    fn view(&self, number: usize, plugin: &Plugin) -> View {
        let (mut session, mut envelope) = (self.session.clone(), self.envelope.clone());
        if plugin.mode == Mode::Shadow {
            let mut shadows = self.shadows.lock();
            let own = shadows.entry(number).or_insert_with(|| Shadow {
                session: session.as_ref().map(|real| Arc::new(real.apart())),
                envelope: envelope.as_ref().map(|real| Arc::new(real.apart())),
            });
            if let (Some(own), Some(real)) = (&own.session, &session) {
                own.catch_up(real);
            }
            if let (Some(own), Some(real)) = (&own.envelope, &envelope) {
                own.catch_up(real);
            }
            (session, envelope) = (own.session.clone(), own.envelope.clone());
        }
        View {
            session,
            envelope,
            message: self.message.lock().clone(),
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

    /// Drops the sandboxes of the plugins for which this is false: a client that is slow with its
    /// data holds no more than needed.
    pub(crate) fn retain(&self, needed: impl Fn(&Plugin) -> bool) {
        for (place, plugin) in self.places.iter().zip(self.chain.iter()) {
            if !needed(plugin) {
                place.sandbox.lock().take();
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
