//! The host's half of the contract: what a guest's calls do. One file for each interface.
//!
//! What may come from a stranger never traps: a text is cut and cleaned, and an address, a count or
//! a limit that is wrong comes back as an error. What only the plugin's author can have got wrong
//! is a trap. No call blocks a thread; those that wait are async, and end with the plugin's own
//! timeout.

#![allow(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "all functions of the contract have the form that the table gives them"
)]

pub(super) mod attempt;
pub(super) mod clock;
pub(super) mod connect;
pub(super) mod counters;
pub(super) mod credentials;
pub(super) mod dns;
pub(super) mod files;
pub(super) mod log;
pub(super) mod lookup;
pub(super) mod message;
pub(super) mod message_edit;
pub(super) mod recipient;
pub(super) mod scanner;
pub(super) mod session;
pub(super) mod settings;
pub(super) mod transaction;
pub(super) mod verify;

use std::time::Duration;

use crate::contract::bindings::facteur::policy::types;
use crate::contract::calls::Answer;
use crate::domains::Class;
use crate::unavailable::Unavailable;

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
