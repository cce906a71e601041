//! Whether mail for an address would be taken: by this host, or by the server it goes to. Needs the
//! grant `verify = true`.

pub use crate::bindings::facteur::policy::verify::Outcome;
use crate::host::verify as host;
use crate::{Error, MailAddress};

/// Whether mail for this address would be taken. The host asks another server at most once in a
/// while, and answers from what it heard; a first question may take some seconds.
///
/// # Errors
/// It isn't granted, or that is no address.
pub fn recipient(to: &MailAddress) -> Result<Outcome, Error> {
    host::recipient(to)
}

/// Whether it is granted; to be asked in `init`.
///
/// # Errors
/// A text for the operator: the line to add.
pub fn check() -> Result<(), String> {
    host::check().map_err(|error| error.explain().to_string())
}
