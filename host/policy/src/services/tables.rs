//! The operator's tables, by name.

use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};

use super::nothing::Nothing;

/// Why a table gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TableError {
    /// No table has this name.
    #[error("there is no table \"{0}\"")]
    Unknown(String),
    /// It can't be asked now.
    #[error("the table can't be asked: {0}")]
    Unavailable(String),
}

/// What a table has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Which of the keys it was, from 0.
    pub key: usize,
    /// The value.
    pub value: String,
}

/// Looks keys up.
pub trait Tables: Send + Sync {
    /// The first of the keys that the table has; see `lookup.find` in the contract.
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>>;

    /// Grows whenever any table changed: what was made of the tables before is then stale.
    fn generation(&self) -> u64;
}

impl Tables for Nothing {
    fn find<'a>(
        &'a self,
        table: &'a str,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>> {
        Box::pin(ready(Err(TableError::Unknown(table.to_owned()))))
    }

    fn generation(&self) -> u64 {
        0
    }
}
