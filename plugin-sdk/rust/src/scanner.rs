//! The operator's virus scanners. Each needs the grant `scanner = ["name"]`. The message's bytes
//! never enter the plugin.

use crate::Error;
pub use crate::bindings::facteur::policy::scanner::Outcome;
use crate::host::scanner as host;

/// Scans the message, as this plugin sees it: in `on_end_of_data` and `on_content`. The time counts
/// towards the plugin's own limit.
///
/// # Errors
/// The scanner isn't granted, isn't there, has no answer to rely on (that never means "clean"), or
/// doesn't take so large a message.
pub fn scan(scanner: &str) -> Result<Outcome, Error> {
    host::scan(scanner)
}

/// Whether the scanner is there and granted; to be asked in `init`. Asks the scanner nothing.
///
/// # Errors
/// A text for the operator that names the scanner and what to do.
pub fn check(scanner: &str) -> Result<(), String> {
    host::check(scanner).map_err(|error| format!("scanner \"{scanner}\": {}", error.explain()))
}
