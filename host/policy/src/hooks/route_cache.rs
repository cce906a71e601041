//! Routes that may be used again.
//!
//! What the transport plugins come to is used again, for the narrowest scope that any of them
//! named, until a table changes.

use std::collections::HashMap;

use facteur_smtp::Address;
use parking_lot::Mutex;

use super::transport::Route;
use crate::contract::bindings::facteur::policy::types::Scope;

/// Answers kept: some MiB at most. When it is full it starts anew.
const KEPT_ROUTES: usize = 20_000;

/// Answers that may be used again.
#[derive(Default)]
pub(crate) struct RouteCache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    generation: u64,
    /// By domain, for the scope `domain`.
    domains: HashMap<String, Route>,
    /// By address, for the scope `recipient`.
    recipients: HashMap<Address, Route>,
}

impl RouteCache {
    pub(crate) fn get(&self, generation: u64, address: &Address) -> Option<Route> {
        let mut kept = self.0.lock();
        if kept.generation != generation {
            *kept = Kept { generation, ..Kept::default() };
        }
        kept.recipients.get(address).or_else(|| kept.domains.get(address.domain())).cloned()
    }

    pub(crate) fn put(&self, generation: u64, address: &Address, scope: Scope, route: &Route) {
        let mut kept = self.0.lock();
        if kept.generation != generation {
            return;
        }
        if kept.domains.len() + kept.recipients.len() >= KEPT_ROUTES {
            *kept = Kept { generation, ..Kept::default() };
        }
        match scope {
            Scope::Domain => {
                drop(kept.domains.insert(address.domain().to_owned(), route.clone()));
            }
            Scope::Recipient => {
                drop(kept.recipients.insert(address.clone(), route.clone()));
            }
            Scope::Message => {}
        }
    }
}
