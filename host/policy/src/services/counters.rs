//! Stores of counters, by name.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::nothing::Nothing;

/// A counter, at the moment it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Its value.
    pub value: u64,
    /// Since it began.
    pub age: Duration,
    /// Until it is forgotten.
    pub left: Duration,
}

/// How long a counter lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// From its beginning.
    FromBeginning(Duration),
    /// From now, each time anew.
    FromNow(Duration),
}

/// A bucket of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The most that it holds, and what it has at first.
    pub size: u32,
    /// The time in which an empty one becomes full, evenly.
    pub period: Duration,
}

/// Whether tokens were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// They were.
    Yes,
    /// None were; after so long there will be enough.
    Wait(Duration),
    /// The bucket never holds so many.
    Never,
}

/// No store has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("there is no store of counters \"{0}\"")]
pub struct UnknownStore(pub String);

/// Counts. Every call is atomic, and none waits for a disk or for anyone else.
pub trait Counters: Send + Sync {
    /// Whether there is a store of this name.
    fn is_store(&self, name: &str) -> bool;

    /// The counter of this key, if there is one.
    fn get(&self, store: &str, key: &str) -> Result<Option<Count>, UnknownStore>;

    /// Adds to the counter of this key; gives what it is then.
    fn add(
        &self,
        store: &str,
        key: &str,
        amount: u64,
        lifetime: Lifetime,
    ) -> Result<Count, UnknownStore>;

    /// Takes tokens from the bucket of this key.
    fn take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore>;

    /// What [`Counters::take`] would answer; nothing is taken.
    fn would_take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore>;

    /// Forgets the counter and the bucket of this key; whether there was any.
    fn remove(&self, store: &str, key: &str) -> Result<bool, UnknownStore>;
}

impl Counters for Nothing {
    fn is_store(&self, _: &str) -> bool {
        false
    }

    fn get(&self, store: &str, _: &str) -> Result<Option<Count>, UnknownStore> {
        Err(UnknownStore(store.to_owned()))
    }

    fn add(&self, store: &str, _: &str, _: u64, _: Lifetime) -> Result<Count, UnknownStore> {
        Err(UnknownStore(store.to_owned()))
    }

    fn take(&self, store: &str, _: &str, _: u32, _: Bucket) -> Result<Taken, UnknownStore> {
        Err(UnknownStore(store.to_owned()))
    }

    fn would_take(&self, store: &str, _: &str, _: u32, _: Bucket) -> Result<Taken, UnknownStore> {
        Err(UnknownStore(store.to_owned()))
    }

    fn remove(&self, store: &str, _: &str) -> Result<bool, UnknownStore> {
        Err(UnknownStore(store.to_owned()))
    }
}
