//! Who gets a sandbox: so many at once for all plugins together, and of these a share for each.
//!
//! A permit is taken before a sandbox exists, for all that it needs ([`Weight`]), so that a full
//! pool makes callers wait and then hear "try later"; the engine's pool itself never fails.
//!
//! [`Weight`]: crate::runtime::weight::Weight

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::runtime::engine::{EngineError, Machine};
use crate::runtime::error::CallError;
use crate::runtime::guest::Guest;
use crate::runtime::idle::Idle;
use crate::runtime::meter::Meter;
use crate::runtime::sandbox::Sandbox;
use crate::runtime::store::Context;
use crate::runtime::weight::Weight;

/// How long a caller waits for a permit when every sandbox is in use.
const PERMIT_PATIENCE: Duration = Duration::from_secs(5);

/// The machine and its sandboxes, shared by all plugins of the process. Cheap to clone.
pub struct InstancePool<C: 'static>(Arc<Pool<C>>);

/// The right to one more sandbox of a plugin.
pub(crate) struct Reserved {
    /// Its place in the plugin's share, where it counts.
    place: Option<OwnedSemaphorePermit>,
    permit: OwnedSemaphorePermit,
}

async fn enter<C>(guest: &Guest<C>) -> Result<OwnedSemaphorePermit, CallError> {
    guest.quota.enter().await.ok_or(CallError::Busy)
}

struct Pool<C: 'static> {
    machine: Machine<C>,
    idle: Idle<C>,
    permits: Arc<Semaphore>,
    sandboxes: u32,
}

impl<C> Clone for InstancePool<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Context> InstancePool<C> {
    /// An engine with room for so many sandboxes at once.
    ///
    /// # Errors
    /// The address space for the pool can't be had, or the clock thread can't start.
    pub fn new(sandboxes: u32) -> Result<Self, EngineError> {
        Self::with(sandboxes, None)
    }

    /// The same with a meter, for tests: guests' work is counted, which makes it slower.
    ///
    /// # Errors
    /// As [`InstancePool::new`].
    pub fn metered(sandboxes: u32, meter: Arc<Meter>) -> Result<Self, EngineError> {
        Self::with(sandboxes, Some(meter))
    }

    fn with(sandboxes: u32, meter: Option<Arc<Meter>>) -> Result<Self, EngineError> {
        Ok(Self(Arc::new(Pool {
            machine: Machine::new(sandboxes, meter)?,
            idle: Idle::default(),
            permits: Arc::new(Semaphore::new(sandboxes as usize)),
            sandboxes,
        })))
    }

    /// What sandboxes are made on.
    pub(crate) fn machine(&self) -> &Machine<C> {
        &self.0.machine
    }

    /// How many sandboxes there are.
    pub(crate) fn sandboxes(&self) -> u32 {
        self.0.sandboxes
    }

    /// Whether more than half of the sandboxes are in use. Then none is kept between two questions:
    /// idle clients in the middle of a transaction, however many, never take the other half from
    /// those with something to decide.
    pub(crate) fn is_short(&self) -> bool {
        self.0.permits.available_permits() < self.0.sandboxes as usize / 2
    }

    /// What a new sandbox needs: a permit, and where it counts a place in the plugin's share, which
    /// is waited for first: who waits for that holds nothing.
    pub(crate) async fn reserve(
        &self,
        guest: &Guest<C>,
        counted: bool,
    ) -> Result<Reserved, CallError> {
        let place = if counted { Some(enter(guest).await?) } else { None };
        let permit = self.permit(guest.weight).await.ok_or(CallError::Busy)?;
        Ok(Reserved { place, permit })
    }

    /// A new sandbox.
    pub(crate) async fn make(
        &self,
        guest: &Arc<Guest<C>>,
        reserved: Reserved,
        context: impl FnOnce() -> C,
    ) -> Result<Sandbox<C>, CallError> {
        let Reserved { place, permit } = reserved;
        let mut sandbox = Sandbox::new(&self.0.machine, guest, context, permit).await?;
        sandbox.take_place(place);
        Ok(sandbox)
    }

    /// A sandbox of a plugin that shares them: of those that idle, or a new one.
    pub(crate) async fn share(
        &self,
        guest: &Arc<Guest<C>>,
        counted: bool,
        context: impl FnOnce() -> C,
    ) -> Result<Sandbox<C>, CallError> {
        let place = if counted { Some(enter(guest).await?) } else { None };
        if let Some(mut sandbox) = self.0.idle.take(guest) {
            sandbox.take_place(place);
            return Ok(sandbox);
        }
        let permit = self.permit(guest.weight).await.ok_or(CallError::Busy)?;
        self.make(guest, Reserved { place, permit }, context).await
    }

    /// Takes back one of a plugin that shares them.
    pub(crate) fn put(&self, sandbox: Sandbox<C>) {
        self.0.idle.put(sandbox);
    }

    /// A plugin is no more.
    pub(crate) fn forget(&self, guest: &Arc<Guest<C>>) {
        self.0.idle.forget(guest);
    }

    /// The right to have one sandbox of this weight, or none if too much stays in use for too long.
    async fn permit(&self, weight: Weight) -> Option<OwnedSemaphorePermit> {
        let (room, permits) = (weight.sandboxes(), &self.0.permits);
        loop {
            if let Ok(permit) = permits.clone().try_acquire_many_owned(room) {
                return Some(permit);
            }
            if !self.0.idle.give_way() {
                break;
            }
        }
        let permit = permits.clone().acquire_many_owned(room);
        tokio::time::timeout(PERMIT_PATIENCE, permit).await.ok()?.ok()
    }
}
