//! Stores of counters and buckets, by the host's clock.

use std::collections::HashMap;

use super::{Host, ask};
use crate::Error;
use crate::counters::{Bucket, Counter, Lifetime, Taken};

#[derive(Clone, Default)]
pub(super) struct Stores(HashMap<String, Store>);

#[derive(Clone, Default)]
struct Store {
    counters: HashMap<String, Living>,
    /// When each bucket is full again.
    full: HashMap<String, u64>,
}

#[derive(Clone, Copy)]
struct Living {
    value: u64,
    since: u64,
    until: u64,
}

impl Living {
    fn at(self, now: u64) -> Counter {
        Counter { value: self.value, age: now - self.since, left: self.until.saturating_sub(now) }
    }
}

impl Host {
    /// A store of counters, with nothing in it.
    #[must_use]
    pub fn store(self, name: &str) -> Self {
        self.with(|state| _ = state.stores.0.insert(name.to_owned(), Store::default()))
    }
}

fn within<T>(store: &str, question: impl FnOnce(&mut Store, u64) -> T) -> Result<T, Error> {
    ask(|state| {
        let now = state.simple.now;
        let known = state.stores.0.get_mut(store);
        let unknown = || Error::UnknownName(format!("[counters.{store}]"));
        known.map(|store| question(store, now)).ok_or_else(unknown)
    })
}

pub fn check(store: &str) -> Result<(), Error> {
    within(store, |_, _| ())
}

pub fn get(store: &str, key: &str) -> Result<Option<Counter>, Error> {
    within(store, |store, now| store.alive(key, now).map(|kept| kept.at(now)))
}

pub fn add(store: &str, key: &str, amount: u64, keep: Lifetime) -> Result<Counter, Error> {
    within(store, |store, now| {
        let mut kept = store.alive(key, now).unwrap_or(Living { value: 0, since: now, until: now });
        kept.value = kept.value.saturating_add(amount);
        kept.until = match keep {
            Lifetime::FromBeginning(time) => kept.since + time,
            Lifetime::FromNow(time) => now + time,
        };
        store.counters.insert(key.to_owned(), kept);
        kept.at(now)
    })
}

pub fn take(store: &str, key: &str, amount: u32, from: Bucket) -> Result<Taken, Error> {
    within(store, |store, now| {
        if amount > from.size {
            return Taken::Never;
        }
        // Taking a token puts off the moment at which the bucket is full again.
        let full = store.full.get(key).copied().unwrap_or_default().max(now);
        let later = u128::from(from.period) * u128::from(amount) / u128::from(from.size.max(1));
        let full = full.saturating_add(u64::try_from(later).unwrap_or(u64::MAX));
        match full.saturating_sub(now + from.period) {
            0 => {
                store.full.insert(key.to_owned(), full);
                Taken::Yes
            }
            wait => Taken::Wait(wait),
        }
    })
}

pub fn remove(store: &str, key: &str) -> Result<bool, Error> {
    within(store, |store, now| {
        let there = store.alive(key, now).is_some();
        store.counters.remove(key);
        store.full.remove(key).is_some_and(|full| full > now) || there
    })
}

impl Store {
    fn alive(&self, key: &str, now: u64) -> Option<Living> {
        self.counters.get(key).copied().filter(|kept| kept.until > now)
    }
}

#[cfg(test)]
mod tests {
    use crate::counters::{self, Bucket, Lifetime, Taken};
    use crate::testing::Host;

    #[test]
    fn a_counter_lives_its_time() {
        let host = Host::new().store("s");
        let add = |keep| host.run(|| counters::add("s", "k", 1, keep)).unwrap();
        let value = || host.run(|| counters::get("s", "k")).unwrap().map(|known| known.value);
        assert_eq!(add(Lifetime::FromBeginning(10)).left, 10);
        host.pass(6);
        let again = add(Lifetime::FromBeginning(10));
        assert_eq!((again.value, again.age, again.left), (2, 6, 4));
        assert_eq!(add(Lifetime::FromNow(10)).left, 10);
        host.pass(9);
        assert_eq!(value(), Some(3));
        host.pass(1);
        assert_eq!(value(), None);
        assert!(host.run(|| counters::check("other")).is_err_and(|why| why.contains("other")));
    }

    #[test]
    fn a_bucket_refills_evenly() {
        let host = Host::new().store("s");
        let take = |amount| {
            let bucket = Bucket { size: 4, period: 100 };
            host.run(|| counters::take("s", "k", amount, bucket)).unwrap()
        };
        assert_eq!(take(5), Taken::Never);
        assert_eq!((take(3), take(1), take(1)), (Taken::Yes, Taken::Yes, Taken::Wait(25)));
        host.pass(25);
        assert_eq!((take(1), take(2)), (Taken::Yes, Taken::Wait(50)));
    }
}
