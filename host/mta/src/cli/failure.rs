//! Why a command ended without success.

use std::process::ExitCode;

use super::out;

/// What the person at the terminal is told; nothing where that was told already.
pub(super) struct Failure(pub(super) String);

impl Failure {
    /// Says it, unless it is that nobody reads what is printed; ends with this code.
    pub(super) fn told(&self, code: ExitCode) -> ExitCode {
        if !out::is_unread() && !self.0.is_empty() {
            out::note(self.0.trim_end());
        }
        code
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        // Where several things are wrong, each has a line.
        Self(format!("facteur: {error}").replace('\n', "\nfacteur: "))
    }
}
