//! One plugin's instance: made fresh, asked some questions, thrown away.
//!
//! A sandbox belongs to one transaction (or one question in the queue), so that nothing a plugin
//! saw of one message can leak into the next; only where the operator says `isolation = "shared"`
//! does it go on to whoever asks next ([`crate::runtime::idle`]). It has a store of its own: a
//! trap, a limit or a deadline of one plugin never touches another's. A trap or a timeout consumes
//! it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Instance;
use wasmtime::{Store, UpdateDeadline};

use crate::runtime::engine::Machine;
use crate::runtime::error::{CallError, Differs};
use crate::runtime::guest::Guest;
use crate::runtime::memory::Memory;
use crate::runtime::meter::{self, Meter};
use crate::runtime::pace::{Pacer, TICK};
use crate::runtime::store::{Context, Data};
use crate::runtime::trap;

/// The most that the guest may make the host copy in one call, in bytes: strings and lists that it
/// passes or returns. The longest header ([`facteur_smtp::MAX_SECTION`]) can be passed back to ask
/// a table for it, where each byte that isn't UTF-8 has become the three of U+FFFD.
const COPY_LIMIT: usize = 4 * facteur_smtp::MAX_SECTION;

/// A live instance.
pub(crate) struct Sandbox<C: 'static> {
    store: Store<Data<C>>,
    instance: Instance,
    guest: Arc<Guest<C>>,
    meter: Option<Arc<Meter>>,
    made_at: Instant,
    questions: u32,
    /// Its place in the plugin's share. None while it idles, and in a question within a question of
    /// the same plugin.
    place: Option<OwnedSemaphorePermit>,
    _permit: OwnedSemaphorePermit,
}

impl<C: Context> Sandbox<C> {
    /// Makes an instance, with a permit for what it takes of the pool. The context is made here, so
    /// that no future on the way holds one.
    pub(crate) async fn new(
        machine: &Machine<C>,
        guest: &Arc<Guest<C>>,
        context: impl FnOnce() -> C,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, CallError> {
        let data = Data {
            context: context(),
            calls: 0,
            memory: Memory::new(guest.limits.memory),
            pacer: Pacer::new(&machine.pace),
            ticks_left: 0,
        };
        let mut store = Store::new(&machine.engine, data);
        store.limiter(|data| &mut data.memory);
        store.set_hostcall_fuel(COPY_LIMIT);
        store.epoch_deadline_callback(|mut store| {
            let data = store.data_mut();
            if data.ticks_left == 0 {
                return Ok(UpdateDeadline::Interrupt);
            }
            data.ticks_left -= 1;
            Ok(match data.pacer.tick() {
                None => UpdateDeadline::Yield(1),
                Some(pause) => UpdateDeadline::YieldCustom(1, Box::pin(tokio::time::sleep(pause))),
            })
        });
        refill(&mut store, guest);
        let meter = machine.meter.clone();
        if meter.is_some() {
            meter::fill(&mut store);
        }
        let made =
            timed(guest.limits.timeout, pin!(guest.instance_pre.instantiate_async(&mut store)))
                .await?;
        let instance = made.map_err(|error| explain(&store, guest, &error))?;
        Ok(Self {
            store,
            instance,
            guest: guest.clone(),
            meter,
            made_at: Instant::now(),
            questions: 0,
            place: None,
            _permit: permit,
        })
    }

    /// Asks one question, within the plugin's limits and this time. A question that finds its
    /// answer breaking the contract says so as an error, which is a trap like any other. Only an
    /// answer gives the sandbox back.
    pub(crate) async fn ask<T>(
        mut self,
        time: Duration,
        question: impl AsyncFnOnce(&mut Store<Data<C>>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<(Self, T), CallError> {
        refill(&mut self.store, &self.guest);
        self.questions += 1;
        let answer = timed(time, pin!(question(&mut self.store, &self.instance))).await;
        let data = self.store.data_mut();
        data.pacer.reset();
        self.guest.statistics.note_memory(data.memory.used());
        match answer? {
            Ok(answer) => {
                if let Some(meter) = &self.meter {
                    meter.note(&self.guest.name, &mut self.store);
                }
                Ok((self, answer))
            }
            Err(error) => Err(explain(&self.store, &self.guest, &error)),
        }
    }

    /// What its calls into the host reach.
    pub(crate) fn context(&mut self) -> &mut C {
        &mut self.store.data_mut().context
    }

    /// Whose it is.
    pub(crate) fn guest(&self) -> &Arc<Guest<C>> {
        &self.guest
    }

    /// When it was made.
    pub(crate) fn made_at(&self) -> Instant {
        self.made_at
    }

    /// How many questions it was asked.
    pub(crate) fn questions(&self) -> u32 {
        self.questions
    }

    /// Whether so much memory is left that the next question isn't likely to end in a trap.
    pub(crate) fn has_room(&self) -> bool {
        self.store.data().memory.has_room()
    }

    /// It takes this place of the plugin's share, if any.
    pub(crate) fn take_place(&mut self, place: Option<OwnedSemaphorePermit>) {
        self.place = place;
    }

    /// Until the next question it sees nothing, and takes no place of the plugin's share.
    pub(crate) fn rest(&mut self) {
        self.context().rest();
        self.place = None;
    }
}

fn refill<C: Context>(store: &mut Store<Data<C>>, guest: &Guest<C>) {
    store.set_epoch_deadline(1);
    let data = store.data_mut();
    data.ticks_left =
        u64::try_from(guest.limits.cpu.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
}

/// Most answers are there at once: a timer is made for those alone that wait, which is at the first
/// tick at the latest.
pub(crate) async fn timed<T>(
    limit: Duration,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Result<T, CallError> {
    if let Poll::Ready(answer) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    {
        return Ok(answer);
    }
    tokio::time::timeout(limit, future).await.map_err(|_| CallError::Timeout(limit))
}

fn explain<C: Context>(
    store: &Store<Data<C>>,
    guest: &Guest<C>,
    error: &wasmtime::Error,
) -> CallError {
    if store.data().ticks_left == 0 {
        return CallError::TooMuchCpu(guest.limits.cpu);
    }
    if let Some(differs) = error.downcast_ref::<Differs>() {
        return CallError::Differs(*differs);
    }
    CallError::Trap(trap::told(error, store.data().context.last_words()))
}
