//! Other programs that the operator names. Each needs the grant `connect = ["name"]`; where it
//! listens is the operator's to say.

pub use crate::bindings::facteur::policy::connect::{Ending, Error, Step};
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

impl Error {
    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout)
    }

    /// A text for the operator: what is wrong, and what to do. (`Display`, which is generated,
    /// shows the bare value.)
    pub fn explain(&self) -> String {
        match self {
            Self::NotGranted(line) => line.clone(),
            Self::UnknownService(name) => {
                format!("there is no service of this name; add [services.{name}]")
            }
            Self::Unavailable(why) => format!("it can't be asked now: {why}"),
            Self::Timeout => "it took too long".to_owned(),
            Self::TooLarge => "it said more than it may".to_owned(),
        }
    }
}
