//! What the guest remembers of the questions before. A fresh sandbox has nothing.

use std::sync::Mutex;

static SEEN: Mutex<Option<String>> = Mutex::new(None);

/// Keeps this, and returns what was kept before, if this sandbox has kept anything.
pub fn remember(what: String) -> Option<String> {
    SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replace(what)
}
