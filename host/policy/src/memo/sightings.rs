//! What was seen not long ago: a small table of hashes, in which later ones take the place of
//! earlier ones.
//!
//! It decides only what is worth keeping, so that a wrong answer costs nothing but that.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Places: 256 KiB for the process, and as many senders and clients at once.
const PLACES: usize = 65_536;

pub(super) struct Sightings {
    places: Box<[AtomicU32]>,
    /// Nobody outside can choose what falls on whose place.
    seed: RandomState,
}

impl Default for Sightings {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU32::new(0)).collect();
        Self { places, seed: RandomState::new() }
    }
}

impl Sightings {
    /// Whether this was seen; from now on it was.
    pub(super) fn again(&self, what: &impl Hash) -> bool {
        let hash = self.seed.hash_one(what);
        // The upper half says which, the lower half where.
        let place = usize::try_from(hash % PLACES as u64).unwrap_or_default();
        let mark = (hash >> 32) as u32;
        self.places[place].swap(mark, Ordering::Relaxed) == mark
    }
}
