//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use super::nothing::Nothing;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01, UTC.
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Clock for Nothing {}
