//! Asks the plugins of a chain on behalf of one transaction: each from what is remembered of it,
//! or in one fresh sandbox for as long as the transaction lasts.
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
use std::hash::Hash;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::component::{ComponentType, Lift};

use crate::contract::bindings::facteur::policy::types::Failure;
use crate::contract::calls::octets;
use crate::contract::checks::Broken;
use crate::contract::context::{Context, Recipients, Runtime, Scope};
use crate::contract::exports::HookName;
use crate::contract::subject::Subject;
use crate::contract::text::{TEXT_LIMIT, line};
use crate::contract::transcript::{Exchange, Transcript};
use crate::domains::Domains;
use crate::memo::{Memo, Missing, Walked, walk};
use crate::message::{Edited, Message};
use crate::plugin::{Chain, Mode, Plugin};
use crate::run::Run;
use crate::runtime::error::{CallError, Differs};
use crate::runtime::limits::Isolation;
use crate::runtime::sandbox::timed;
use crate::services::Services;
use crate::trace::{Facts, Step, Told, Trace};

/// How long a session waits after a question that broke its sandbox. It takes more computing than
/// any other, and a client that finds out how to bring it about can do so as fast as it is
/// answered: this leaves the processors to the others.
const AFTER_BREAKING: Duration = Duration::from_millis(50);

/// One question to a plugin, whatever its hook: what it is about, and what its answer means.
pub(crate) trait Hook: Sync {
    /// The answer, as it comes.
    type Raw: ComponentType + Lift + Clone + PartialEq + Hash + Send + Sync + 'static;
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
    /// Of which the facts are told, too.
    pub facts: Facts,
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

/// What came of a question.
struct Heard<A> {
    answer: Result<A, Failure>,
    /// What the plugin did besides answering, in words.
    effects: Vec<String>,
    /// What it asked, in words, where that is told.
    facts: Vec<String>,
    transcript: Transcript,
}

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
        let (mut effects, mut facts) = Default::default();
        let answer = match self.hear(number, plugin, hook, &subject, started).await {
            Ok(heard) => {
                (effects, facts) = (heard.effects, heard.facts);
                heard.answer.map_err(|failure| CallError::Failure {
                    transient: failure.transient,
                    reason: line(&failure.reason, TEXT_LIMIT),
                })
            }
            Err(error) => Err(error),
        };
        let took = started.elapsed();
        // A simulation says nothing about how the plugin does.
        if self.matter.run.is_real() {
            plugin.guest.statistics.note(plugin.name(), took, answer.as_ref().err());
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.tell(plugin, hook.name(), &subject, &answer, (&effects, facts), micros);
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
        (effects, facts): (&[String], Vec<String>),
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
            facts,
            shadow,
        });
    }

    /// What the plugin answers, from memory where it can be, and otherwise in a sandbox.
    async fn hear<H: Hook>(
        &self,
        number: usize,
        plugin: &Plugin,
        hook: &H,
        subject: &Subject,
        began: Instant,
    ) -> Result<Heard<H::Answer>, CallError> {
        let Matter { runtime, run, .. } = &self.matter;
        let place = &self.places[number];
        let within = place.asking.fetch_add(1, Ordering::Relaxed) > 0;
        let _asking = Asking(place);
        let kept = place.sandbox.lock().take();
        // No simulation may take from a plugin what real mail needs, nor leave a trace in an
        // instance that is asked for real.
        let real = run.is_real();
        let counted = real && !within;
        let guest = &plugin.guest;
        let mut context = self.context(number, plugin, hook, subject);

        let (mut reserved, mut known, mut missing) = (None, None, Missing::Once);
        // A sandbox that was asked before may know more than a fresh one.
        let memo = plugin.memo(hook.name()).filter(|memo| kept.is_none() && memo.attends());
        if let Some(memo) = memo {
            let reserve = async || {
                reserved = Some(runtime.reserve(guest, counted).await?);
                Ok(())
            };
            let walked = {
                let walked = pin!(walk(memo, &mut context, reserve));
                timed(guest.limits.timeout, walked).await??
            };
            match walked {
                Walked::Missing(why) => missing = why,
                Walked::Answer(leaf) if memo.hit() => known = Some(leaf),
                Walked::Answer(leaf) => {
                    if !within {
                        place.sandbox.lock().take();
                    }
                    let raw = leaf.downcast_ref::<H::Raw>().cloned();
                    // What a memo holds is of its hook's type.
                    let raw = raw.ok_or_else(|| CallError::from(Differs))?;
                    let answer = hook.check(plugin, &mut context, raw);
                    let answer = answer.map_err(|broken| CallError::Trap(broken.0))?;
                    return Ok(self.heard(Ok(answer), context));
                }
            }
        }

        let mut fresh = kept.is_none();
        let alone = hook.name().is_secret();
        let shared = guest.isolation == Isolation::Shared && real;
        let mut sandbox = match (kept, reserved) {
            (Some(sandbox), _) => sandbox,
            (None, None) if shared && !alone => {
                runtime.share(guest, counted, || self.unseeing(plugin)).await?
            }
            (None, reserved) => {
                let reserved = match reserved {
                    Some(reserved) => reserved,
                    None => runtime.reserve(guest, counted).await?,
                };
                runtime.make(guest, reserved, || self.unseeing(plugin)).await?
            }
        };
        // One that asked the host while it was made knows what no transcript says.
        fresh &= !sandbox.context().transcript.has_missed();
        *sandbox.context() = context;
        let time = match memo {
            Some(_) => guest.limits.timeout.saturating_sub(began.elapsed()),
            None => guest.limits.timeout,
        };
        let keep = fresh && memo.is_some() && missing == Missing::Again && known.is_none();
        let asked = sandbox
            .ask(time, async |store, instance| {
                let raw = plugin.exports.ask::<H::Raw, _>(store, instance, hook.name()).await?;
                let context = &mut store.data_mut().context;
                context.transcript.finish()?;
                if known.as_ref().is_some_and(|leaf| leaf.downcast_ref() != raw.as_ref().ok()) {
                    wasmtime::bail!(Differs);
                }
                let raw = match raw {
                    Ok(raw) => raw,
                    Err(failure) => return Ok(Err(failure)),
                };
                let leaf = keep.then(|| raw.clone());
                Ok(Ok((hook.check(plugin, context, raw)?, leaf)))
            })
            .await;
        if !within {
            // What a question within this one left here has no place in the plugin's share.
            place.sandbox.lock().take();
        }
        if let (Some(memo), Err(CallError::Differs(_))) = (memo, &asked) {
            Self::forget(plugin, hook.name(), memo);
        }
        let (mut sandbox, answer) = asked?;
        let context = std::mem::replace(sandbox.context(), self.unseeing(plugin));
        if !runtime.is_short() {
            if alone {
                drop(sandbox);
            } else if shared {
                runtime.put(sandbox);
            } else if !guest.quota.is_short() {
                *place.sandbox.lock() = Some(sandbox);
            }
        }
        match answer {
            Err(failure) => Ok(self.heard(Err(failure), context)),
            Ok((answer, leaf)) => {
                let mut heard = self.heard(Ok(answer), context);
                let whole = std::mem::take(&mut heard.transcript).whole();
                if let (Some(memo), Some(leaf), Some(whole)) = (memo, leaf, whole) {
                    let octets = octets(&leaf);
                    if !memo.keep(whole, Arc::new(leaf), octets) {
                        Self::forget(plugin, hook.name(), memo);
                    }
                }
                Ok(heard)
            }
        }
    }

    /// A plugin whose answers don't follow from what it is told is asked each time, from now on.
    fn forget(plugin: &Plugin, hook: HookName, memo: &Memo) {
        memo.end();
        tracing::error!(
            plugin = plugin.name(),
            question = hook.word(),
            "it was told the same as before, and did something else: a fault of facteur's, please \
             report it; its answers aren't remembered any more"
        );
    }

    /// What is left of a question.
    fn heard<A: Told>(&self, answer: Result<A, Failure>, context: Context) -> Heard<A> {
        let Context { effects, transcript, .. } = context;
        let refuses = answer.as_ref().is_ok_and(Told::refuses);
        let told = |exchange: &Exchange| exchange.call.call().told(&exchange.reply);
        let facts = if refuses || self.matter.facts == Facts::OfAll {
            transcript.exchanges().iter().filter_map(told).collect()
        } else {
            Vec::new()
        };
        Heard { answer, effects, facts, transcript }
    }

    /// What a sandbox sees that is asked nothing yet.
    fn unseeing(&self, plugin: &Plugin) -> Context {
        let Matter { services, domains, run, .. } = &self.matter;
        // What is lent in a simulation goes before what is lent to the plugin alone.
        let services = plugin.services.as_ref().filter(|_| run.is_real()).unwrap_or(services);
        Context::new(&plugin.profile, services, domains)
    }

    /// What the plugin sees in this question.
    fn context(
        &self,
        number: usize,
        plugin: &Plugin,
        hook: &impl Hook,
        subject: &Subject,
    ) -> Context {
        let mut context = self.unseeing(plugin);
        context.scope = self.scope(number, plugin);
        context.hook = Some(hook.name());
        context.subject = subject.clone();
        context.recipients.clone_from(&self.recipients);
        if !hook.name().is_secret() {
            context.transcript = Transcript::begin();
        }
        hook.prepare(&mut context);
        context
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
