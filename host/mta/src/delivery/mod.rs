//! Delivery: one attempt at getting one message to recipients that share a route and an envelope
//! sender.
//!
//! Every attempt ends in one outcome for each recipient. "Delivered" is only said where the next
//! hop took the message over, or the mailbox has it on its disk; whatever is in doubt is deferred,
//! so that a message may come twice and is never lost.
//!
//! It decides no retry, writes no bounce and knows no queue: what to make of an outcome is the
//! caller's.

mod attempt;
mod callout;
mod connection;
mod credentials;
pub(crate) mod delivered_to;
mod deliverer;
#[cfg(test)]
pub(crate) mod fixtures;
mod logins;
mod maildir;
mod next_hop;
mod opening;
mod outcome;
mod pool;
#[cfg(test)]
mod script;
mod security;
mod settings;
mod smtp;
mod stop;
mod targets;
mod wire;
mod writers;

pub use attempt::Attempt;
pub use callout::callout;
pub use deliverer::{Deliverer, Room};
pub use logins::Logins;
pub use outcome::{Outcome, Remote};
pub use security::DeliveryTls;
pub use settings::Settings;
