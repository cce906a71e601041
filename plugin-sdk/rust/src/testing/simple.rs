//! What is one value each: the clock, the log, what was done, the settings, and which addresses can
//! be verified.

use std::collections::HashMap;

use super::{Host, ask};
use crate::MailAddress;
use crate::verify::Outcome;

#[derive(Clone, Default)]
pub(super) struct Basics {
    pub(super) now: u64,
    log: Vec<String>,
    pub(super) did: Vec<String>,
    skipped: Vec<String>,
    settings: Option<String>,
    kept: Vec<u8>,
    verified: HashMap<String, Outcome>,
}

impl Host {
    /// Sets the clock: milliseconds since 1970.
    #[must_use]
    pub fn at(self, now: u64) -> Self {
        self.with(|state| state.simple.now = now)
    }

    /// So many milliseconds go by.
    pub fn pass(&self, milliseconds: u64) {
        self.0.borrow_mut().simple.now += milliseconds;
    }

    /// `[plugin.settings]`, as a JSON object.
    #[must_use]
    pub fn settings(self, json: &str) -> Self {
        self.with(|state| state.simple.settings = Some(json.to_owned()))
    }

    /// What is known of this address; of others it is that nobody can say now.
    #[must_use]
    pub fn verified(self, address: &MailAddress, outcome: Outcome) -> Self {
        self.with(|state| _ = state.simple.verified.insert(address.to_string(), outcome))
    }

    /// The lines that were logged, in order, each with its level before it: `warn it is odd`.
    pub fn log(&self) -> Vec<String> {
        self.0.borrow().simple.log.clone()
    }

    /// What was done to the session, the envelope and the message, in order, as the contract's
    /// words and their arguments: `hold look at it`, `bcc a@b.org`, `tag seen=yes`, `session-tag
    /// seen=yes`, `prepend-header X-A: b`, `insert-header 0 X-A: b`, `remove-header 1 X-A`,
    /// `set-sender <>`.
    pub fn did(&self) -> Vec<String> {
        self.0.borrow().simple.did.clone()
    }

    /// The hooks that `init` said not to ask.
    pub fn skipped(&self) -> Vec<String> {
        self.0.borrow().simple.skipped.clone()
    }
}

pub(crate) mod clock {
    pub fn now() -> u64 {
        super::ask(|state| state.simple.now)
    }
}

pub(crate) mod log {
    use crate::bindings::facteur::policy::log::Level;

    pub fn write(level: Level, text: &str) {
        let word = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        super::ask(|state| state.simple.log.push(format!("{word} {text}")));
    }
}

pub(crate) mod settings {
    pub fn get() -> String {
        super::ask(|state| state.simple.settings.clone()).unwrap_or_else(|| "{}".to_owned())
    }

    pub fn kept() -> Vec<u8> {
        super::ask(|state| state.simple.kept.clone())
    }

    pub fn keep(state: &[u8]) {
        super::ask(|host| host.simple.kept = state.to_vec());
    }

    pub fn skip(hook: &str) {
        super::ask(|state| state.simple.skipped.push(hook.to_owned()));
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the contract's functions may fail")]
pub(crate) mod verify {
    use crate::verify::Outcome;
    use crate::{Error, MailAddress};

    pub fn recipient(to: &MailAddress) -> Result<Outcome, Error> {
        let known = super::ask(|state| state.simple.verified.get(&to.to_string()).cloned());
        Ok(known.unwrap_or_else(|| Outcome::Unknown("the test doesn't say".to_owned())))
    }

    pub fn check() -> Result<(), Error> {
        Ok(())
    }
}
