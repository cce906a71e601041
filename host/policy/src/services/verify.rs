//! Whether other servers would take mail for an address.

use facteur_smtp::{Address, Reply};
use futures_util::future::{BoxFuture, ready};

use super::nothing::Nothing;
use crate::next_hop::SmtpRoute;

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Mail for it would be taken.
    Deliverable,
    /// It is refused for good, with these words.
    Undeliverable(Reply),
    /// It can't be told now; why.
    Unknown(String),
}

/// Asks other servers.
pub trait Verify: Send + Sync {
    /// Whether the next hop takes mail for this address. The answer may be one from before.
    fn callout<'a>(&'a self, address: &'a Address, route: &'a SmtpRoute)
    -> BoxFuture<'a, Verified>;
}

impl Verify for Nothing {
    fn callout<'a>(&'a self, _: &'a Address, _: &'a SmtpRoute) -> BoxFuture<'a, Verified> {
        Box::pin(ready(Verified::Unknown("there is nobody to ask other servers".to_owned())))
    }
}
