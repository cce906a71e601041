//! `counters`: numbers that outlive a transaction.

use std::time::Duration;

use wasmtime::Result;

use super::{Answer, milliseconds, unknown};
use crate::contract::bindings::facteur::policy::{counters, types};
use crate::contract::context::Context;
use crate::services::{Bucket, Count, Counters, Lifetime, Taken, UnknownStore};

/// The longest key, in bytes: more than an envelope's addresses together, so that no sender can
/// make one.
const KEY_LIMIT: usize = 65_536;
/// The longest that anything is kept: a year and some.
const LONGEST: Duration = Duration::from_hours(400 * 24);

impl From<UnknownStore> for types::Error {
    fn from(error: UnknownStore) -> Self {
        unknown("counters", &error.0)
    }
}

impl Context {
    fn may_count(&self, store: &str) -> Answer<()> {
        let granted = self.plugin.grants.counters(&self.plugin.name, store);
        granted.map_err(types::Error::NotGranted)?;
        let is_there = self.services.counters.is_store(store);
        if is_there { Ok(()) } else { Err(unknown("counters", store)) }
    }

    /// Does it if it may.
    fn count<T>(
        &self,
        store: &str,
        key: &str,
        work: impl FnOnce(&dyn Counters) -> Answer<T>,
    ) -> Answer<T> {
        self.may_count(store)?;
        if key.len() > KEY_LIMIT {
            let length = key.len();
            return Err(types::Error::Invalid(format!(
                "a key of {length} bytes (at most {KEY_LIMIT})"
            )));
        }
        work(&*self.services.counters)
    }
}

impl From<Count> for counters::Counter {
    fn from(count: Count) -> Self {
        Self { value: count.value, age: milliseconds(count.age), left: milliseconds(count.left) }
    }
}

fn bounded(milliseconds: u64) -> Answer<Duration> {
    let duration = Duration::from_millis(milliseconds);
    if duration <= LONGEST {
        return Ok(duration);
    }
    Err(types::Error::Invalid("a counter for longer than 400 days".to_owned()))
}

pub(crate) fn check(context: &Context, store: String) -> Result<Answer<()>> {
    Ok(context.may_count(&store))
}

pub(crate) fn get(
    context: &Context,
    store: &str,
    key: &str,
) -> Result<Answer<Option<counters::Counter>>> {
    Ok(context.count(store, key, |counters| Ok(counters.get(store, key)?.map(Into::into))))
}

pub(crate) fn add(
    context: &Context,
    store: &str,
    key: &str,
    amount: u64,
    keep: counters::Lifetime,
) -> Result<Answer<counters::Counter>> {
    Ok(context.count(store, key, |counters| {
        let lifetime = match keep {
            counters::Lifetime::FromBeginning(time) => Lifetime::FromBeginning(bounded(time)?),
            counters::Lifetime::FromNow(time) => Lifetime::FromNow(bounded(time)?),
        };
        Ok(counters.add(store, key, amount, lifetime)?.into())
    }))
}

pub(crate) fn take(
    context: &Context,
    store: &str,
    key: &str,
    amount: u32,
    of: counters::Bucket,
) -> Result<Answer<counters::Taken>> {
    Ok(context.count(store, key, |counters| {
        let bucket = Bucket { size: of.size, period: bounded(of.period)? };
        Ok(match counters.take(store, key, amount, bucket)? {
            Taken::Yes => counters::Taken::Yes,
            Taken::Wait(time) => counters::Taken::Wait(milliseconds(time)),
            Taken::Never => counters::Taken::Never,
        })
    }))
}

pub(crate) fn remove(context: &Context, store: &str, key: &str) -> Result<Answer<bool>> {
    Ok(context.count(store, key, |counters| Ok(counters.remove(store, key)?)))
}
