//! Other programs that the operator names. Each needs the grant `connect = ["name"]`; where it
//! listens is the operator's to say.

use crate::Error;
pub use crate::bindings::facteur::policy::connect::{Ending, Step};
use crate::host::connect as host;

/// One request and its answer, by a connection of its own.
///
/// # Errors
/// The service isn't granted, isn't there, or gave no whole answer.
pub fn ask(service: &str, request: &[u8], until: Ending) -> Result<Vec<u8>, Error> {
    let answers = exchange(service, &[Step { send: request.to_vec(), until }])?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

/// Several requests by one connection, each sent when the answer to the one before is there. From 1
/// to 16 of them.
///
/// # Errors
/// As [`ask`]: of any of them.
pub fn exchange(service: &str, steps: &[Step]) -> Result<Vec<Vec<u8>>, Error> {
    host::exchange(service, steps)
}

/// Whether the service is there and granted; to be asked in `init`. Connects to nobody.
///
/// # Errors
/// A text for the operator that names the service and what to do.
pub fn check(service: &str) -> Result<(), String> {
    host::check(service).map_err(|error| format!("service \"{service}\": {}", error.explain()))
}
