//! One plugin's instance: made fresh, asked some questions, thrown away.
//!
//! A sandbox belongs to one transaction (or one question in the queue), so that nothing a plugin
//! saw of one message can leak into the next; only where the operator says `isolation = "shared"`
//! does it go on to whoever asks next ([`crate::runtime::instance_pool`]). It has a store of its own: a trap, a limit
//! or a deadline of one plugin never touches another's. A trap or a timeout consumes it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Instance;
use wasmtime::{Store, UpdateDeadline};

use crate::asker::Asker;
use crate::facts::{EnvelopeFacts, SessionFacts};
use crate::message::Message;
use crate::message::edits::Draft;
use crate::plugin::{Isolation, Plugin};
use crate::runtime::engine::Runtime;
use crate::runtime::memory::Memory;
use crate::runtime::meter::{self, Meter};
use crate::runtime::pace::{Pacer, TICK};
use crate::services::Services;

/// The most that the guest may make the host copy in one call, in bytes: strings and lists that it
/// passes or returns. The longest header ([`facteur_smtp::MAX_SECTION`]) can be passed back to ask
/// a table for it, where each byte that isn't UTF-8 has become the three of U+FFFD.
const COPY_LIMIT: usize = 4 * facteur_smtp::MAX_SECTION;

/// Why a plugin didn't answer. Each is counted and logged under its label, and `on-error` decides
/// what follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It trapped: ran out of memory or stack, hit unreachable, broke a rule of the contract.
    #[error("trap: {0}")]
    Trap(String),
    /// It took too long, waiting included.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// It computed for too long.
    #[error("more than {0:?} of computing")]
    TooMuchCpu(Duration),
    /// It said that it can't decide.
    #[error("{reason}")]
    Failure {
        /// Whether asking again later may help.
        transient: bool,
        /// Its words.
        reason: String,
    },
    /// Every sandbox is in use.
    #[error("every sandbox is in use")]
    Busy,
}

impl CallError {
    /// Every label.
    pub(crate) const LABELS: [&str; 5] = ["trap", "timeout", "cpu", "failure", "busy"];

    /// The metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Timeout(_) => "timeout",
            Self::TooMuchCpu(_) => "cpu",
            Self::Failure { .. } => "failure",
            Self::Busy => "busy",
        }
    }
}

/// What a guest's calls into the host can reach.
pub(crate) struct State {
    pub plugin: Arc<Plugin>,
    pub services: Arc<Services>,
    pub view: View,
    /// What `keep` gave, and whether it may be called: only in `init`.
    pub initializing: Option<Vec<u8>>,
    /// What it did in this call besides answering, in words.
    pub deeds: Vec<String>,
    /// Calls into the host, since the meter last looked.
    pub calls: u64,
    /// What a content plugin has edited, while it is asked.
    pub draft: Option<Draft>,
    /// Log lines left in this call.
    pub log_lines: u32,
    pub memory: Memory,
    pacer: Pacer,
    ticks_left: u64,
}

/// What a sandbox may look at. Nothing of it can be exchanged in a transaction but the message,
/// which comes last.
#[derive(Clone, Default)]
pub(crate) struct View {
    pub session: Option<Arc<SessionFacts>>,
    pub envelope: Option<Arc<EnvelopeFacts>>,
    pub message: Option<Message>,
    /// Who can answer `recipient.listed`. Weak: the transaction owns the sandboxes, not they it.
    pub asker: Option<Weak<Asker>>,
}

impl State {
    /// Every call of a guest comes by here for the host's half.
    pub(crate) fn called(&mut self) -> &mut Self {
        self.calls += 1;
        self
    }
}

/// Log lines for one call of a hook; more are dropped.
pub(crate) const LOG_LINES: u32 = 100;

/// A live instance.
pub(crate) struct Sandbox {
    store: Store<State>,
    instance: Instance,
    plugin: Arc<Plugin>,
    meter: Option<Arc<Meter>>,
    made_at: Instant,
    questions: u32,
    /// Its place in the plugin's share. None while it idles, and in a question within a question of
    /// the same plugin.
    place: Option<OwnedSemaphorePermit>,
    _permit: OwnedSemaphorePermit,
}

impl Sandbox {
    /// One for the plugin: of those that idle, if it shares them, or a new one. Waits for a place
    /// in the plugin's share first, unless the question comes `within` another of the same plugin,
    /// which has one: were both to need one, those who hold one could wait for each other.
    pub(crate) async fn get(
        runtime: &Runtime,
        plugin: &Arc<Plugin>,
        services: &Arc<Services>,
        within: bool,
    ) -> Result<Self, CallError> {
        let place =
            if within { None } else { Some(plugin.quota.enter().await.ok_or(CallError::Busy)?) };
        let idle =
            if plugin.isolation == Isolation::Shared { runtime.idle.take(plugin) } else { None };
        let mut sandbox = match idle {
            Some(mut sandbox) => {
                sandbox.state().services.clone_from(services);
                sandbox
            }
            None => Self::new(runtime, plugin, services).await?,
        };
        sandbox.place = place;
        Ok(sandbox)
    }

    /// Waits for a permit, then makes an instance, which sees nothing yet.
    pub(crate) async fn new(
        runtime: &Runtime,
        plugin: &Arc<Plugin>,
        services: &Arc<Services>,
    ) -> Result<Self, CallError> {
        let permit = runtime.permit(plugin.weight).await.ok_or(CallError::Busy)?;
        let state = State {
            plugin: plugin.clone(),
            services: services.clone(),
            view: View::default(),
            initializing: None,
            deeds: Vec::new(),
            calls: 0,
            draft: None,
            log_lines: LOG_LINES,
            memory: Memory::new(plugin.limits.memory),
            pacer: Pacer::new(&runtime.pace),
            ticks_left: 0,
        };
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(COPY_LIMIT);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            if state.ticks_left == 0 {
                return Ok(UpdateDeadline::Interrupt);
            }
            state.ticks_left -= 1;
            Ok(match state.pacer.tick() {
                None => UpdateDeadline::Yield(1),
                Some(pause) => UpdateDeadline::YieldCustom(1, Box::pin(tokio::time::sleep(pause))),
            })
        });
        refill(&mut store, plugin);
        let meter = runtime.meter().cloned();
        if meter.is_some() {
            meter::fill(&mut store);
        }
        let made =
            timed(plugin.limits.timeout, pin!(plugin.instance_pre.instantiate_async(&mut store)))
                .await?;
        let instance = made.map_err(|error| explain(&store, plugin, &error))?;
        let plugin = plugin.clone();
        Ok(Self {
            store,
            instance,
            plugin,
            meter,
            made_at: Instant::now(),
            questions: 0,
            place: None,
            _permit: permit,
        })
    }

    /// Asks one question, within the plugin's limits. A question that finds its answer breaking the
    /// contract says so as an error, which is a trap like any other. Only an answer gives the
    /// sandbox back.
    pub(crate) async fn ask<T>(
        mut self,
        question: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<(Self, T), CallError> {
        refill(&mut self.store, &self.plugin);
        self.questions += 1;
        let answer =
            timed(self.plugin.limits.timeout, pin!(question(&mut self.store, &self.instance)))
                .await;
        let state = self.store.data_mut();
        state.pacer.reset();
        self.plugin.statistics.note_memory(state.memory.used());
        match answer? {
            Ok(answer) => {
                if let Some(meter) = &self.meter {
                    meter.note(self.plugin.name(), &mut self.store);
                }
                Ok((self, answer))
            }
            Err(error) => Err(explain(&self.store, &self.plugin, &error)),
        }
    }

    /// What its calls into the host can reach.
    pub(crate) fn state(&mut self) -> &mut State {
        self.store.data_mut()
    }

    /// Whose it is.
    pub(crate) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// When it was made.
    pub(crate) fn made_at(&self) -> Instant {
        self.made_at
    }

    /// How many questions it was asked.
    pub(crate) fn questions(&self) -> u32 {
        self.questions
    }

    /// Until the next question it sees nothing, and takes no place of the plugin's share.
    pub(crate) fn rest(&mut self) {
        self.state().view = View::default();
        self.place = None;
    }
}

fn refill(store: &mut Store<State>, plugin: &Plugin) {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.ticks_left =
        u64::try_from(plugin.limits.cpu.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
    state.log_lines = LOG_LINES;
}

/// Most answers are there at once: a timer is made for those alone that wait, which is at the first
/// tick at the latest.
async fn timed<T>(
    limit: Duration,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Result<T, CallError> {
    if let Poll::Ready(answer) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    {
        return Ok(answer);
    }
    tokio::time::timeout(limit, future).await.map_err(|_| CallError::Timeout(limit))
}

fn explain(store: &Store<State>, plugin: &Plugin, error: &wasmtime::Error) -> CallError {
    if store.data().ticks_left == 0 {
        return CallError::TooMuchCpu(plugin.limits.cpu);
    }
    // The chain's last link is the cause; the ones before it are the guest's stack, which says
    // little to an operator.
    CallError::Trap(error.root_cause().to_string())
}
