//! The host's half of the contract: what a guest's calls do. One file for each interface.
//!
//! What may come from a stranger never traps: a text is cut and cleaned, and an address, a count or
//! a limit that is wrong comes back as an error. What only the plugin's author can have got wrong
//! is a trap. No call blocks a thread; those that wait are async, and end with the plugin's own
//! timeout.

mod attempt;
mod clock;
mod connect;
mod counters;
mod credentials;
mod dns;
mod files;
mod log;
mod lookup;
mod message;
mod message_edit;
mod recipient;
mod scanner;
mod session;
mod settings;
mod transaction;
mod verify;

use std::time::Duration;

use crate::contract::bindings::facteur::policy::types;
use crate::contract::context::Context;
use crate::domains::Class;
use crate::unavailable::Unavailable;

/// What a function answers that may fail.
type Answer<T> = Result<T, types::Error>;

impl types::Host for Context {}

impl From<Class> for types::RecipientClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Local => Self::Local,
            Class::VirtualAlias => Self::VirtualAlias,
            Class::VirtualMailbox => Self::VirtualMailbox,
            Class::Relay => Self::Relay,
            Class::Other => Self::Other,
        }
    }
}

impl From<Unavailable> for types::Error {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.0)
    }
}

/// Nothing of this name: the section to add.
fn unknown(kind: &str, name: &str) -> types::Error {
    types::Error::UnknownName(format!("[{kind}.{name}]"))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
