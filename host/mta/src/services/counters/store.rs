//! One store of counters, in memory: bounded, each entry with its time.
//!
//! Every operation is one short turn under a lock that nobody holds while waiting. What expired is
//! gone for whoever asks, at once; its memory goes little by little, with the operations after it.
//! The time is handed in, in microseconds of a clock that never goes back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use facteur_policy::{Bucket, Count, Lifetime, Taken};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// Longer keys are kept as their digest, so that every entry has a bounded size.
const KEY: usize = 128;
/// Entries that one operation takes out at most: two for each that it puts in, so that the rest
/// never grows.
const SWEEP: usize = 4;

/// One counter or bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// A counter's value; nothing for a bucket.
    pub value: u64,
    /// When it began.
    pub since: u64,
    /// From when on it is as if it weren't there. A bucket is full again then.
    pub until: u64,
}

/// What may lie in it, as the configuration in force says.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Entries.
    pub keys: usize,
    /// Whether changes are to be written to the disk.
    pub durable: bool,
}

/// A store.
#[derive(Default)]
pub struct Store(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    entries: HashMap<Arc<str>, Entry>,
    by_time: BTreeSet<(u64, Arc<str>)>,
    /// What the disk doesn't know.
    changed: HashSet<Arc<str>>,
    /// Entries that went before their time, since this was last asked.
    pushed_out: u64,
}

impl Store {
    /// A store with what the disk has.
    pub fn of(entries: Vec<(String, Entry)>) -> Self {
        let mut inner = Inner::default();
        for (key, entry) in entries {
            inner.set(key.into(), Some(entry));
        }
        Self(Mutex::new(inner))
    }

    /// The counter of a key.
    pub fn get(&self, key: &str, now: u64) -> Option<Count> {
        let entry = self.0.lock().get(&counter(key), now)?;
        Some(count(entry, now))
    }

    /// Adds to it.
    pub fn add(
        &self,
        key: &str,
        amount: u64,
        lifetime: Lifetime,
        now: u64,
        bounds: Bounds,
    ) -> Count {
        let mut inner = self.0.lock();
        let key = counter(key);
        let known = inner.get(&key, now);
        let mut entry = known.unwrap_or(Entry { value: 0, since: now, until: 0 });
        entry.value = entry.value.saturating_add(amount);
        entry.until = match lifetime {
            Lifetime::FromBeginning(time) => entry.since.saturating_add(micros(time)),
            Lifetime::FromNow(time) => now.saturating_add(micros(time)),
        };
        inner.put(&key, entry, now, bounds);
        count(entry, now)
    }

    /// Takes tokens.
    pub fn take(&self, key: &str, amount: u32, bucket: Bucket, now: u64, bounds: Bounds) -> Taken {
        let mut inner = self.0.lock();
        let key = tokens(key);
        match inner.less(&key, amount, bucket, now) {
            Ok(entry) => {
                inner.put(&key, entry, now, bounds);
                Taken::Yes
            }
            Err(refused) => refused,
        }
    }

    /// The same without taking any.
    pub fn would_take(&self, key: &str, amount: u32, bucket: Bucket, now: u64) -> Taken {
        self.0
            .lock()
            .less(&tokens(key), amount, bucket, now)
            .map_or_else(|refused| refused, |_| Taken::Yes)
    }

    /// Forgets the counter and the bucket of a key.
    pub fn remove(&self, key: &str, now: u64, bounds: Bounds) -> bool {
        let mut inner = self.0.lock();
        let mut found = false;
        for key in [counter(key), tokens(key)] {
            found |= inner.get(&key, now).is_some();
            if let Some(gone) = inner.set(key.as_str().into(), None)
                && bounds.durable
            {
                inner.changed.insert(gone);
            }
        }
        found
    }

    /// What changed since this was last asked. It counts as written from now on.
    pub fn changed(&self) -> HashSet<Arc<str>> {
        std::mem::take(&mut self.0.lock().changed)
    }

    /// These are to be written after all.
    pub fn not_written(&self, keys: impl IntoIterator<Item = Arc<str>>) {
        self.0.lock().changed.extend(keys);
    }

    /// All are to be written: the disk has none of them.
    pub fn all_changed(&self) {
        let inner = &mut *self.0.lock();
        inner.changed.extend(inner.entries.keys().cloned());
    }

    /// What these are now. None: gone.
    pub fn look(&self, keys: &[Arc<str>]) -> Vec<Option<Entry>> {
        let inner = self.0.lock();
        keys.iter().map(|key| inner.entries.get(key).copied()).collect()
    }

    /// How many entries went before their time, since this was last asked.
    pub fn pushed_out(&self) -> u64 {
        std::mem::take(&mut self.0.lock().pushed_out)
    }
}

impl Inner {
    /// The bucket with so much less in it: the moment at which it is full again moves on by what
    /// was taken (the generic cell rate algorithm).
    fn less(&self, key: &str, amount: u32, bucket: Bucket, now: u64) -> Result<Entry, Taken> {
        if amount > bucket.size {
            return Err(Taken::Never);
        }
        let period = micros(bucket.period);
        let known = self.get(key, now);
        // A bucket that has become smaller is empty at most.
        let full = known.map_or(now, |entry| entry.until.clamp(now, now.saturating_add(period)));
        let cost = u128::from(period) * u128::from(amount) / u128::from(bucket.size.max(1));
        let until = full.saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
        let late = until.saturating_sub(now).saturating_sub(period);
        if late > 0 {
            return Err(Taken::Wait(Duration::from_micros(late)));
        }
        let since = known.map_or(now, |entry| entry.since);
        Ok(Entry { value: 0, since, until })
    }

    fn get(&self, key: &str, now: u64) -> Option<Entry> {
        self.entries.get(key).copied().filter(|entry| entry.until > now)
    }

    /// Puts an entry in, and takes out what is over, or too much.
    fn put(&mut self, key: &str, entry: Entry, now: u64, bounds: Bounds) {
        let name: Arc<str> =
            self.entries.get_key_value(key).map_or_else(|| key.into(), |(name, _)| name.clone());
        if bounds.durable {
            self.changed.insert(name.clone());
        }
        self.set(name, Some(entry));
        for _ in 0..SWEEP {
            let Some((until, _)) = self.by_time.first() else { break };
            if *until > now && self.entries.len() <= bounds.keys {
                break;
            }
            self.pushed_out += u64::from(*until > now);
            if let Some((_, name)) = self.by_time.pop_first() {
                self.entries.remove(&name);
                if bounds.durable {
                    self.changed.insert(name);
                }
            }
        }
    }

    /// Exchanges an entry; gives the name of one that was taken out.
    fn set(&mut self, name: Arc<str>, entry: Option<Entry>) -> Option<Arc<str>> {
        let before = match entry {
            Some(entry) => self.entries.insert(name.clone(), entry),
            None => self.entries.remove(&name),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before.until, name.clone()));
        }
        match entry {
            Some(entry) => {
                self.by_time.insert((entry.until, name));
                None
            }
            None => before.map(|_| name),
        }
    }
}

fn counter(key: &str) -> String {
    named('c', key)
}

fn tokens(key: &str) -> String {
    named('b', key)
}

/// The name of an entry: its kind, and the key or its digest, which no key looks like.
fn named(kind: char, key: &str) -> String {
    if key.len() <= KEY {
        return format!("{kind}:{key}");
    }
    let mut name = format!("{kind}#");
    for byte in Sha256::digest(key) {
        // Writing to a String can't fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn count(entry: Entry, now: u64) -> Count {
    Count {
        value: entry.value,
        age: Duration::from_micros(now.saturating_sub(entry.since)),
        left: Duration::from_micros(entry.until.saturating_sub(now)),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const BOUNDS: Bounds = Bounds { keys: 1_000, durable: true };

    fn window(seconds: u64) -> Lifetime {
        Lifetime::FromBeginning(Duration::from_secs(seconds))
    }

    fn value(store: &Store, key: &str, now: u64) -> Option<u64> {
        store.get(key, now).map(|count| count.value)
    }

    #[test]
    fn a_counter_lives_its_time() {
        let store = Store::default();
        assert_eq!(store.get("a", 0), None);
        store.add("a", 2, window(10), 0, BOUNDS);
        let count = store.add("a", 3, window(10), 4 * SECOND, BOUNDS);
        let (age, left) = (Duration::from_secs(4), Duration::from_secs(6));
        assert_eq!(count, Count { value: 5, age, left });
        assert_eq!(value(&store, "a", 10 * SECOND - 1), Some(5));
        assert_eq!(value(&store, "a", 10 * SECOND), None);
        // It begins anew, and this time it lives on with each addition.
        let later = Lifetime::FromNow(Duration::from_secs(10));
        assert_eq!(store.add("a", 1, later, 20 * SECOND, BOUNDS).value, 1);
        assert_eq!(store.add("a", u64::MAX, later, 29 * SECOND, BOUNDS).value, u64::MAX);
        assert_eq!(value(&store, "a", 38 * SECOND), Some(u64::MAX));
        assert!(store.remove("a", 38 * SECOND, BOUNDS) && !store.remove("a", 38 * SECOND, BOUNDS));
        assert_eq!(store.get("a", 38 * SECOND), None);
    }

    #[test]
    fn a_bucket_gives_its_size_at_once_and_its_rate_after_that() {
        let store = Store::default();
        let bucket = Bucket { size: 10, period: Duration::from_secs(10) };
        let take = |amount, now| store.take("a", amount, bucket, now, BOUNDS);
        assert_eq!(take(11, 0), Taken::Never);
        for _ in 0..5 {
            assert_eq!(take(2, 0), Taken::Yes);
        }
        assert_eq!(take(1, 0), Taken::Wait(Duration::from_secs(1)));
        assert_eq!(take(3, SECOND), Taken::Wait(Duration::from_secs(2)));
        assert_eq!(take(1, SECOND), Taken::Yes);
        assert_eq!(take(1, SECOND), Taken::Wait(Duration::from_secs(1)));
        let mut taken = 0;
        for now in 1..=100 {
            while take(1, now * SECOND) == Taken::Yes {
                taken += 1;
            }
        }
        assert_eq!(taken, 99);
        assert_eq!(take(10, 110 * SECOND), Taken::Yes);
        // A counter of the same key is another thing, and a smaller bucket is empty at most.
        assert_eq!(store.get("a", 110 * SECOND), None);
        let smaller = Bucket { size: 1, period: Duration::from_secs(2) };
        assert_eq!(
            store.take("a", 1, smaller, 110 * SECOND, BOUNDS),
            Taken::Wait(Duration::from_secs(2))
        );
        assert_eq!(store.take("b", 1, Bucket { size: 0, ..bucket }, 0, BOUNDS), Taken::Never);
        assert_eq!(store.take("b", 0, Bucket { size: 0, ..bucket }, 0, BOUNDS), Taken::Yes);
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let store = Store::default();
        let bounds = Bounds { keys: 10, durable: false };
        for number in 0..1_000 {
            store.add(&number.to_string(), 1, window(1_000 - number), 0, bounds);
            assert!(store.0.lock().entries.len() <= 10);
        }
        // Those with the most time left stay.
        assert_eq!(value(&store, "0", 0), Some(1));
        assert_eq!(value(&store, "999", 0), None);
        assert_eq!((store.pushed_out(), store.pushed_out()), (990, 0));
        // What is over goes with the operations after it, before anything that isn't.
        for number in 0..9 {
            store.add("x", 1, window(5_000), (990 + number) * SECOND, bounds);
        }
        store.add("y", 1, window(5_000), 1_001 * SECOND, bounds);
        store.add("y", 1, window(5_000), 1_001 * SECOND, bounds);
        store.add("y", 1, window(5_000), 1_001 * SECOND, bounds);
        assert_eq!(store.0.lock().entries.len(), 2);
        assert_eq!(store.0.lock().by_time.len(), 2);
    }

    #[test]
    fn long_keys_are_told_apart_and_take_no_more_room() {
        let store = Store::default();
        let (one, other) = ("x".repeat(60_000), format!("{}y", "x".repeat(59_999)));
        store.add(&one, 1, window(10), 0, BOUNDS);
        assert_eq!((value(&store, &one, 0), value(&store, &other, 0)), (Some(1), None));
        assert!(store.0.lock().entries.keys().all(|name| name.len() < 80));
    }

    #[test]
    fn what_changed_is_told_once() {
        let store = Store::default();
        store.add("a", 1, window(10), 0, BOUNDS);
        store.add("volatile", 1, window(10), 0, Bounds { durable: false, ..BOUNDS });
        let changed: Vec<_> = store.changed().into_iter().collect();
        assert_eq!(changed, ["c:a".into()]);
        assert_eq!(store.look(&changed)[0].unwrap().value, 1);
        assert!(store.changed().is_empty());
        store.remove("a", 0, BOUNDS);
        let changed: Vec<_> = store.changed().into_iter().collect();
        assert_eq!(store.look(&changed), [None]);
        store.not_written(changed);
        assert_eq!(store.changed().len(), 1);
    }
}
