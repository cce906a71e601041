//! Counters as they are, with changes that nobody else sees: for a simulation, which moves none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Bucket, Count, Counters, Lifetime, Taken, UnknownStore};

/// A store and a key.
type Place = (String, String);

/// Counters that are read and never moved. What was changed by way of it is remembered for as long
/// as it lives.
pub struct Overlay {
    beneath: Arc<dyn Counters>,
    changed: Mutex<Changed>,
}

#[derive(Default)]
struct Changed {
    /// When, and what it was then; none: it was removed.
    counters: HashMap<Place, Option<(Instant, Count)>>,
    /// Tokens taken, and whether the bucket was full before.
    buckets: HashMap<Place, (u32, bool)>,
}

impl Overlay {
    /// Nothing is changed yet.
    pub fn new(beneath: Arc<dyn Counters>) -> Self {
        Self { beneath, changed: Mutex::default() }
    }

    fn known(&self, changed: &Changed, place: &Place) -> Result<Option<Count>, UnknownStore> {
        let Some(kept) = changed.counters.get(place) else {
            return self.beneath.get(&place.0, &place.1);
        };
        let aged = |(at, count): &(Instant, Count)| {
            let since = at.elapsed();
            let left = count.left.checked_sub(since).filter(|left| !left.is_zero())?;
            Some(Count { value: count.value, age: count.age + since, left })
        };
        Ok(kept.as_ref().and_then(aged))
    }
}

fn place(store: &str, key: &str) -> Place {
    (store.to_owned(), key.to_owned())
}

impl Counters for Overlay {
    fn is_store(&self, name: &str) -> bool {
        self.beneath.is_store(name)
    }

    fn get(&self, store: &str, key: &str) -> Result<Option<Count>, UnknownStore> {
        self.known(&self.changed.lock(), &place(store, key))
    }

    fn add(
        &self,
        store: &str,
        key: &str,
        amount: u64,
        lifetime: Lifetime,
    ) -> Result<Count, UnknownStore> {
        if !self.is_store(store) {
            return Err(UnknownStore(store.to_owned()));
        }
        let place = place(store, key);
        let mut changed = self.changed.lock();
        let new = Count { value: 0, age: Duration::ZERO, left: Duration::ZERO };
        let before = self.known(&changed, &place)?.unwrap_or(new);
        let left = match lifetime {
            Lifetime::FromBeginning(time) => time.saturating_sub(before.age),
            Lifetime::FromNow(time) => time,
        };
        let count = Count { value: before.value.saturating_add(amount), left, ..before };
        changed.counters.insert(place, Some((Instant::now(), count)));
        Ok(count)
    }

    fn take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let place = place(store, key);
        let mut changed = self.changed.lock();
        let (taken, full) = changed.buckets.get(&place).copied().unwrap_or_default();
        if amount > bucket.size {
            return Ok(Taken::Never);
        }
        let all = taken.saturating_add(amount);
        let answer = if all > bucket.size {
            Taken::Wait(bucket.period * (all - bucket.size) / bucket.size.max(1))
        } else if full {
            Taken::Yes
        } else {
            self.beneath.would_take(store, key, all, bucket)?
        };
        if answer == Taken::Yes {
            changed.buckets.insert(place, (all, full));
        }
        Ok(answer)
    }

    fn would_take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        self.beneath.would_take(store, key, amount, bucket)
    }

    fn remove(&self, store: &str, key: &str) -> Result<bool, UnknownStore> {
        if !self.is_store(store) {
            return Err(UnknownStore(store.to_owned()));
        }
        let place = place(store, key);
        let mut changed = self.changed.lock();
        let found = self.known(&changed, &place)?.is_some()
            || changed.buckets.get(&place).is_some_and(|it| it.0 > 0);
        changed.counters.insert(place.clone(), None);
        changed.buckets.insert(place, (0, true));
        Ok(found)
    }
}
