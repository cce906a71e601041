//! The operator's virus scanners. Each needs the grant `scanner = ["name"]`. The message's bytes
//! never enter the plugin.

use crate::Message;
use crate::bindings::facteur::policy::scanner as host;
pub use host::{Error, Outcome};

/// Scans the message, as this plugin sees it. The time counts towards the plugin's own limit.
///
/// # Errors
/// The scanner isn't granted, isn't there, or has no answer to rely on: that never means "clean".
pub fn scan(scanner: &str, message: &Message) -> Result<Outcome, Error> {
    host::scan(scanner, message)
}

/// Whether the scanner is there and granted; to be asked in `init`. Asks the scanner nothing.
///
/// # Errors
/// A text for the operator that names the scanner and what to do.
pub fn check(scanner: &str) -> Result<(), String> {
    host::check(scanner).map_err(|error| format!("scanner \"{scanner}\": {}", error.explain()))
}

impl Error {
    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A text for the operator: what is wrong, and what to do. (`Display`, which is generated,
    /// shows the bare value.)
    pub fn explain(&self) -> String {
        match self {
            Self::NotGranted(line) => line.clone(),
            Self::UnknownScanner(name) => {
                format!("there is no scanner of this name; add [scanners.{name}]")
            }
            Self::Unavailable(why) => format!("it can't be asked now: {why}"),
            Self::TooLarge => "the message is larger than it takes".to_owned(),
        }
    }
}
