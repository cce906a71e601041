//! Virus scanners, by name.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};

use super::nothing::Nothing;
use crate::message::Content;

/// What a scanner found in a message that it saw to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scanned {
    /// Nothing.
    Clean,
    /// This signature: at most 256 bytes of printable ASCII.
    Infected(String),
}

/// Why a scanner gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ScanError {
    /// No scanner has this name.
    #[error("there is no scanner \"{0}\"")]
    Unknown(String),
    /// None of its servers gave an answer to rely on.
    #[error("the scanner can't be asked: {0}")]
    Unavailable(String),
    /// The message is larger than it takes.
    #[error("the message is too large for the scanner")]
    TooLarge,
}

/// Scans messages.
pub trait Scanners: Send + Sync {
    /// Whether there is a scanner of this name.
    fn is_scanner(&self, name: &str) -> bool;

    /// Scans the content, which is read by ranges and never held whole.
    fn scan<'a>(
        &'a self,
        scanner: &'a str,
        content: Arc<dyn Content>,
    ) -> BoxFuture<'a, Result<Scanned, ScanError>>;
}

impl Scanners for Nothing {
    fn is_scanner(&self, _: &str) -> bool {
        false
    }

    fn scan<'a>(
        &'a self,
        scanner: &'a str,
        _: Arc<dyn Content>,
    ) -> BoxFuture<'a, Result<Scanned, ScanError>> {
        Box::pin(ready(Err(ScanError::Unknown(scanner.to_owned()))))
    }
}
