//! Asks the plugins of a chain on behalf of one transaction, each in one fresh sandbox for as long
//! as the transaction lasts.
//!
//! This is the one door to a plugin after its load: whatever the [`Hook`], the question is timed,
//! bounded, told to the log and to the [`Trace`], and one that isn't answered comes out as a
//! [`CallError`].
//!
//! Sandboxes are made when first needed, and dropped when no later stage can need them, or when
//! they run short: the contract doesn't promise that a plugin's memory lasts from one question to
//! the next. Questions come one after the other; the one that comes within another (a restriction
//! asks `listed`, which asks the alias hook, perhaps of the same plugin) finds its sandbox taken,
//! and gets one of its own. Plugins with `isolation = "shared"` get one for each question. A
//! question that shows a secret has a sandbox of its own, which is thrown away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::component::{ComponentType, Lift};

use crate::contract::bindings::facteur::policy::types::Failure;
use crate::contract::checks::Broken;
use crate::contract::context::{Context, Recipients, Runtime, Scope};
use crate::contract::exports::HookName;
use crate::contract::subject::Subject;
use crate::contract::text::{TEXT_LIMIT, line};
use crate::domains::Domains;
use crate::message::{Edited, Message};
use crate::plugin::{Chain, Mode, Plugin};
use crate::run::Run;
use crate::runtime::error::CallError;
use crate::runtime::limits::Isolation;
use crate::services::Services;
use crate::trace::{Step, Told, Trace};

/// How long a session waits after a question that broke its sandbox. It takes more computing than
/// any other, and a client that finds out how to bring it about can do so as fast as it is
/// answered: this leaves the processors to the others.
const AFTER_BREAKING: Duration = Duration::from_millis(50);

/// One question to a plugin, whatever its hook: what it is about, and what its answer means.
pub(crate) trait Hook: Sync {
    /// The answer, as it comes.
    type Raw: ComponentType + Lift + Send + Sync + 'static;
    /// The answer, checked.
    type Answer: Told + Send;

    /// Which.
    fn name(&self) -> HookName;

    /// What it is about, beyond the place where it is asked.
    fn subject(&self) -> Subject {
        Subject::Nothing
    }

    /// What the guest's calls reach for this question, beyond what they always do.
    fn prepare(&self, _context: &mut Context) {}

    /// The answer, if it keeps the contract. What isn't checked here isn't believed.
    fn check(
        &self,
        plugin: &Plugin,
        context: &mut Context,
        raw: Self::Raw,
    ) -> Result<Self::Answer, Broken>;
}

/// For whom plugins are asked.
pub(crate) struct Matter {
    pub runtime: Runtime,
    pub domains: Arc<Domains>,
    /// Who is asked, in order.
    pub chain: Chain,
    /// Where.
    pub scope: Scope,
    /// What is lent.
    pub services: Arc<Services>,
    /// What for.
    pub run: Run,
    /// Where the answers are told.
    pub trace: Arc<Trace>,
}

/// The plugins of one transaction.
pub(crate) struct Dispatch {
    pub matter: Matter,
    /// One place for each plugin of the chain.
    places: Vec<Place>,
    message: Mutex<Option<Message>>,
    /// What plugins in the shadow see: facts of their own. By the plugins' numbers.
    shadows: Mutex<HashMap<usize, Scope>>,
    recipients: Weak<dyn Recipients>,
}

/// What a transaction has of one plugin.
#[derive(Default)]
struct Place {
    sandbox: Mutex<Option<Sandbox>>,
    /// Questions to it under way: more than one if they are nested.
    asking: AtomicU32,
}

type Sandbox = crate::runtime::sandbox::Sandbox<Context>;

/// A question under way.
struct Asking<'a>(&'a Place);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Dispatch {
    /// `recipients`: whom the plugins' own questions about recipients are put to.
    pub(crate) fn new(matter: Matter, recipients: Weak<dyn Recipients>) -> Self {
        Self {
            places: matter.chain.iter().map(|_| Place::default()).collect(),
            matter,
            message: Mutex::default(),
            shadows: Mutex::default(),
            recipients,
        }
    }

    /// Who is asked, in order.
    pub(crate) fn chain(&self) -> &Chain {
        &self.matter.chain
    }

    /// Whether any of them exports the hook.
    pub(crate) fn has(&self, hook: HookName) -> bool {
        self.chain().iter().any(|plugin| plugin.wants(hook))
    }

    /// Asks the plugin with this number in the chain. What it answers has been logged and told when
    /// this returns, an answer that isn't one too. None: it doesn't export the hook; or its mode is
    /// `shadow`, so that its answer, whatever it was, decides nothing.
    pub(crate) async fn ask<H: Hook>(
        &self,
        number: usize,
        hook: &H,
    ) -> Result<Option<H::Answer>, CallError> {
        let plugin = &self.chain()[number];
        if !plugin.wants(hook.name()) {
            return Ok(None);
        }
        let started = Instant::now();
        let subject = hook.subject();
        let mut effects = Vec::new();
        let answer = match self.ask_in_sandbox(number, plugin, hook, &subject).await {
            Ok((Ok(answer), done)) => {
                effects = done;
                Ok(answer)
            }
            Ok((Err(failure), _)) => Err(CallError::Failure {
                transient: failure.transient,
                reason: line(&failure.reason, TEXT_LIMIT),
            }),
            Err(error) => Err(error),
        };
        let took = started.elapsed();
        // A simulation says nothing about how the plugin does.
        if self.matter.run.is_real() {
            plugin.guest.statistics.note(plugin.name(), took, answer.as_ref().err());
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.tell(plugin, hook.name(), &subject, &answer, &effects, micros);
        if let Err(CallError::Trap(_) | CallError::TooMuchCpu(_)) = answer {
            tokio::time::sleep(AFTER_BREAKING).await;
        }
        match plugin.mode {
            Mode::Enforce => answer.map(Some),
            Mode::Shadow => Ok(None),
        }
    }

    fn tell(
        &self,
        plugin: &Plugin,
        hook: HookName,
        subject: &Subject,
        answer: &Result<impl Told, CallError>,
        effects: &[String],
        micros: u64,
    ) {
        let mut told = match answer {
            Ok(answer) => answer.told(),
            Err(error) => error.told().into(),
        };
        for effect in effects {
            let told = told.to_mut();
            told.push_str("; ");
            told.push_str(effect);
        }
        let (plugin, question, shadow) = (plugin.name(), hook.word(), plugin.mode == Mode::Shadow);
        let about = subject.address().map(ToString::to_string);
        if answer.is_ok() {
            tracing::debug!(plugin, question, about, answer = &*told, micros, "asked");
        } else {
            tracing::warn!(plugin, question, about, answer = &*told, micros, "no answer");
        }
        self.matter.trace.add(Step {
            plugin: Some(plugin.to_owned()),
            question: question.into(),
            about,
            answer: told,
            micros,
            shadow,
        });
    }

    async fn ask_in_sandbox<H: Hook>(
        &self,
        number: usize,
        plugin: &Plugin,
        hook: &H,
        subject: &Subject,
    ) -> Result<(Result<H::Answer, Failure>, Vec<String>), CallError> {
        let Matter { runtime, domains, run, .. } = &self.matter;
        let place = &self.places[number];
        let within = place.asking.fetch_add(1, Ordering::Relaxed) > 0;
        let _asking = Asking(place);
        let kept = place.sandbox.lock().take();
        // What is lent in a simulation goes before what is lent to the plugin alone.
        let real = run.is_real();
        // What it hears stays in a sandbox that is made for it, and goes with it.
        let alone = hook.name().is_secret();
        let services = plugin.services.as_ref().filter(|_| real).unwrap_or(&self.matter.services);
        let context = || Context::new(&plugin.profile, services, domains);
        let mut sandbox = match kept {
            Some(sandbox) => sandbox,
            // No simulation may leave a trace in an instance that is asked for real.
            None if real => runtime.get(&plugin.guest, within, alone, context).await?,
            None => runtime.make(&plugin.guest, context).await?,
        };
        let seen = sandbox.context();
        seen.services.clone_from(services);
        seen.scope = self.scope(number, plugin);
        seen.hook = Some(hook.name());
        seen.subject = subject.clone();
        seen.recipients.clone_from(&self.recipients);
        let asked = sandbox
            .ask(async |store, instance| {
                hook.prepare(&mut store.data_mut().context);
                let raw = match plugin.exports.ask(store, instance, hook.name()).await? {
                    Ok(raw) => raw,
                    Err(failure) => return Ok(Err(failure)),
                };
                Ok(Ok(hook.check(plugin, &mut store.data_mut().context, raw)?))
            })
            .await;
        if !within {
            // What a question within this one left here has no place in the plugin's share.
            place.sandbox.lock().take();
        }
        let (mut sandbox, answer) = asked?;
        let effects = std::mem::take(&mut sandbox.context().effects);
        if !runtime.is_short() {
            if alone {
                drop(sandbox);
            } else if plugin.guest.isolation == Isolation::Shared && real {
                runtime.put(sandbox);
            } else if !plugin.guest.quota.is_short() {
                *place.sandbox.lock() = Some(sandbox);
            }
        }
        Ok((answer, effects))
    }

    /// What a plugin looks at. In the shadow it has facts of its own, kept up to date: what it does
    /// to them is nobody else's.
    fn scope(&self, number: usize, plugin: &Plugin) -> Scope {
        let mut scope = self.matter.scope.clone();
        if let Scope::Transaction(.., message) = &mut scope {
            message.clone_from(&self.message.lock());
        }
        if plugin.mode == Mode::Shadow {
            let mut shadows = self.shadows.lock();
            let own = shadows.entry(number).or_insert_with(|| scope.apart());
            own.catch_up(&scope);
            return own.clone();
        }
        scope
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
        for (place, plugin) in self.places.iter().zip(self.chain().iter()) {
            if !needed(plugin) {
                place.sandbox.lock().take();
            }
        }
    }
}
