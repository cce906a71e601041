//! Numbers that outlive a transaction: for rate limits and greylists. Each store needs the grant
//! `counters = ["name"]`; all who are granted one see the same in it.
//!
//! Every call is atomic and waits for nothing. A counter that has lived its time is as one that
//! never was.
//!
//! ```no_run
//! use facteur_plugin::Error;
//! use facteur_plugin::counters::{self, Bucket, Lifetime, Taken};
//!
//! const DAY: u64 = 86_400_000;
//!
//! /// Greylisting: whether this sender has tried before, more than five minutes ago.
//! fn has_come_back(who: &str) -> Result<bool, Error> {
//!     let Some(seen) = counters::get("greylist", who)? else {
//!         counters::add("greylist", who, 0, Lifetime::FromBeginning(2 * DAY))?;
//!         return Ok(false);
//!     };
//!     if seen.age < 300_000 {
//!         return Ok(false);
//!     }
//!     // From now on it is known as long as it comes once a month.
//!     counters::add("greylist", who, 1, Lifetime::FromNow(35 * DAY))?;
//!     Ok(true)
//! }
//!
//! /// At most 100 messages at once, and 100 an hour after that.
//! fn may_send(who: &str) -> Result<bool, Error> {
//!     let hourly = Bucket { size: 100, period: 3_600_000 };
//!     Ok(counters::take("rates", who, 1, hourly)? == Taken::Yes)
//! }
//! ```

use crate::Error;
pub use crate::bindings::facteur::policy::counters::{Bucket, Counter, Lifetime, Taken};
use crate::host::counters as host;

/// The counter of this key; none if there is none.
///
/// # Errors
/// The store isn't granted, or isn't there.
pub fn get(store: &str, key: &str) -> Result<Option<Counter>, Error> {
    host::get(store, key)
}

/// Adds to the counter of this key, which begins with 0 if there is none, and gives what it is
/// then.
///
/// # Errors
/// The store isn't granted, or isn't there.
pub fn add(store: &str, key: &str, amount: u64, keep: Lifetime) -> Result<Counter, Error> {
    host::add(store, key, amount, keep)
}

/// Takes tokens from the bucket of this key, which is another thing than the counter of the same
/// key.
///
/// # Errors
/// The store isn't granted, or isn't there.
pub fn take(store: &str, key: &str, amount: u32, from: Bucket) -> Result<Taken, Error> {
    host::take(store, key, amount, from)
}

/// Forgets the counter and the bucket of this key. Whether there was any.
///
/// # Errors
/// The store isn't granted, or isn't there.
pub fn remove(store: &str, key: &str) -> Result<bool, Error> {
    host::remove(store, key)
}

/// Whether the store is there and granted; to be asked in `init`.
///
/// # Errors
/// A text for the operator that names the store and what to do.
pub fn check(store: &str) -> Result<(), String> {
    host::check(store).map_err(|error| format!("store \"{store}\": {}", error.explain()))
}
