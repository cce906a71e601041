//! Whether mail for an address would be taken: by this host, or by the server it goes to. Needs the
//! grant `verify = true`.

use crate::Address;
pub use crate::bindings::facteur::policy::verify::{Error, Outcome};
use crate::host::verify as host;

/// Whether mail for this address would be taken. The host asks another server at most once in a
/// while, and answers from what it heard; a first question may take some seconds.
///
/// # Errors
/// It isn't granted.
pub fn recipient(to: &Address) -> Result<Outcome, Error> {
    host::recipient(to)
}

/// Whether it is granted; to be asked in `init`.
///
/// # Errors
/// A text for the operator: the line to add.
pub fn check() -> Result<(), String> {
    host::check().map_err(|error| error.explain().to_owned())
}

impl Error {
    /// Whether asking again later may help: never.
    pub fn is_transient(&self) -> bool {
        false
    }

    /// A text for the operator: what is wrong, and what to do. (`Display`, which is generated,
    /// shows the bare value.)
    pub fn explain(&self) -> &str {
        match self {
            Self::NotGranted(line) => line,
        }
    }
}
