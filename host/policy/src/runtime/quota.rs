//! A plugin's share of the sandboxes: how many of all it may use at once, so that one that hangs
//! can't take those of all others.
//!
//! A place in the share is taken before one of all sandboxes is asked for: who waits for a place
//! holds nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a caller waits for a place. Less than for a sandbox where all are in use, which any
/// plugin's answer may end: here the plugin itself is slow, and so many wait already.
const PATIENCE: Duration = Duration::from_secs(2);

/// The places of one plugin.
pub(crate) struct Quota {
    places: Arc<Semaphore>,
    most: usize,
}

impl Quota {
    /// So many places, at least one.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { places: Arc::new(Semaphore::new(most)), most }
    }

    /// A place, or none if all stay taken for too long.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        tokio::time::timeout(PATIENCE, self.places.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Whether more than half of the places are taken. Then no sandbox of the plugin is kept
    /// between two questions, so that clients in the middle of a transaction leave the other half
    /// to those with something to ask.
    pub(crate) fn is_short(&self) -> bool {
        let taken = self.most - self.places.available_permits();
        taken * 2 > self.most
    }

    /// How many places there are.
    pub(crate) fn most(&self) -> usize {
        self.most
    }
}
