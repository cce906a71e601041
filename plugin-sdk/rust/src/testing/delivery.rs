//! An attempt to deliver.

use super::{Host, ask};
use crate::Reply;

#[derive(Clone)]
pub(super) struct Attempt {
    number: u32,
    host: Option<String>,
    said: Reply,
    next_try: Option<u64>,
}

impl Default for Attempt {
    fn default() -> Self {
        Self { number: 1, host: None, said: Reply::new(250, "2.0.0", "Ok"), next_try: None }
    }
}

impl Host {
    /// Which attempt it was, from 1, and what was said; else the first, and 250.
    #[must_use]
    pub fn attempt(self, number: u32, said: Reply) -> Self {
        self.with(|state| (state.attempt.number, state.attempt.said) = (number, said))
    }

    /// Who answered.
    #[must_use]
    pub fn answered_by(self, host: &str) -> Self {
        self.with(|state| state.attempt.host = Some(host.to_owned()))
    }

    /// When the host means to try again, in milliseconds since 1970.
    #[must_use]
    pub fn next_try(self, time: u64) -> Self {
        self.with(|state| state.attempt.next_try = Some(time))
    }
}

pub mod attempt {
    use super::ask;
    use crate::Reply;

    pub fn number() -> u32 {
        ask(|state| state.attempt.number)
    }

    pub fn host() -> Option<String> {
        ask(|state| state.attempt.host.clone())
    }

    pub fn said() -> Reply {
        ask(|state| state.attempt.said.clone())
    }

    pub fn next_try() -> Option<u64> {
        ask(|state| state.attempt.next_try)
    }
}
