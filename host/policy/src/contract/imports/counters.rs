//! `counters`: numbers that outlive a transaction.

use std::time::Duration;

use wasmtime::{Result, bail};

use crate::contract::bindings::facteur::policy::counters;
use crate::contract::context::Context;
use crate::services::{Bucket, Count, Lifetime, Taken, UnknownStore};

/// The longest key, in bytes: more than an envelope's addresses together, so that no sender can
/// make one.
const KEY_LIMIT: usize = 65_536;
/// The longest that anything is kept: a year and some.
const LONGEST: Duration = Duration::from_hours(400 * 24);

type Answer<T> = std::result::Result<T, counters::Error>;

impl Context {
    fn may_count(&self, store: &str) -> Answer<()> {
        self.plugin
            .grants
            .counters(&self.plugin.name, store)
            .map_err(counters::Error::NotGranted)?;
        if self.services.counters.is_store(store) {
            Ok(())
        } else {
            Err(counters::Error::UnknownStore(store.to_owned()))
        }
    }

    /// Does it if it may.
    fn count<T>(
        &self,
        store: &str,
        key: &str,
        work: impl FnOnce(&dyn crate::services::Counters) -> std::result::Result<T, UnknownStore>,
    ) -> Result<Answer<T>> {
        if key.len() > KEY_LIMIT {
            bail!("a key of {} bytes (at most {KEY_LIMIT})", key.len());
        }
        Ok(self.may_count(store).and_then(|()| work(&*self.services.counters).map_err(Into::into)))
    }
}

impl From<UnknownStore> for counters::Error {
    fn from(error: UnknownStore) -> Self {
        Self::UnknownStore(error.0)
    }
}

impl From<Count> for counters::Counter {
    fn from(count: Count) -> Self {
        Self { value: count.value, age: milliseconds(count.age), left: milliseconds(count.left) }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn bounded(milliseconds: u64) -> Result<Duration> {
    let duration = Duration::from_millis(milliseconds);
    if duration > LONGEST {
        bail!("a counter for longer than 400 days");
    }
    Ok(duration)
}

impl counters::Host for Context {
    fn check(&mut self, store: String) -> Result<Answer<()>> {
        Ok(self.may_count(&store))
    }

    fn get(&mut self, store: String, key: String) -> Result<Answer<Option<counters::Counter>>> {
        self.count(&store, &key, |counters| Ok(counters.get(&store, &key)?.map(Into::into)))
    }

    fn add(
        &mut self,
        store: String,
        key: String,
        amount: u64,
        keep: counters::Lifetime,
    ) -> Result<Answer<counters::Counter>> {
        let lifetime = match keep {
            counters::Lifetime::FromBeginning(time) => Lifetime::FromBeginning(bounded(time)?),
            counters::Lifetime::FromNow(time) => Lifetime::FromNow(bounded(time)?),
        };
        self.count(&store, &key, |counters| {
            Ok(counters.add(&store, &key, amount, lifetime)?.into())
        })
    }

    fn take(
        &mut self,
        store: String,
        key: String,
        amount: u32,
        from: counters::Bucket,
    ) -> Result<Answer<counters::Taken>> {
        let bucket = Bucket { size: from.size, period: bounded(from.period)? };
        self.count(&store, &key, |counters| {
            Ok(match counters.take(&store, &key, amount, bucket)? {
                Taken::Yes => counters::Taken::Yes,
                Taken::Wait(time) => counters::Taken::Wait(milliseconds(time)),
                Taken::Never => counters::Taken::Never,
            })
        })
    }

    fn remove(&mut self, store: String, key: String) -> Result<Answer<bool>> {
        self.count(&store, &key, |counters| counters.remove(&store, &key))
    }
}
