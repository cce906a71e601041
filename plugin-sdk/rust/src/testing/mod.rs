//! A host for native tests: tables, DNS, counters, files, services, a clock and a log, all made up.
//!
//! Hand your functions what belongs to the question (an address, a name), and let them ask the
//! modules of this crate for all else. Within [`Host::run`] those answer from the made-up host, as
//! the real one would:
//!
//! ```
//! use facteur_plugin::testing::Host;
//! use facteur_plugin::{Failure, lookup};
//!
//! fn is_friend(name: &str) -> Result<bool, Failure> {
//!     Ok(lookup::find("friends", &[name.to_owned()])?.is_some())
//! }
//!
//! let host = Host::new().table("friends", &[("bob", "OK")]);
//! assert_eq!(host.run(|| is_friend("Bob")), Ok(true));
//! assert_eq!(host.run(|| is_friend("eve")), Ok(false));
//!
//! let host = Host::new().broken_table("friends");
//! assert!(host.run(|| is_friend("bob")).is_err_and(|failure| failure.transient));
//! ```
//!
//! Everything that the host has is granted; what it hasn't is answered with the contract's error.
//! There are no sessions, transactions, recipients and messages here, and so nothing is scanned:
//! those are asked for in the hook itself, and `facteur try` plays it as a whole. No limit of the
//! contract is checked.
//!
//! Each thread has its own host, so that tests may run beside each other. The module isn't there on
//! WebAssembly.

pub(crate) mod connect;
pub(crate) mod counters;
pub(crate) mod dns;
pub(crate) mod files;
pub(crate) mod lookup;
mod simple;

use std::cell::RefCell;
use std::rc::Rc;

pub(crate) use simple::{clock, log, settings, verify};

thread_local! {
    /// Who answers on this thread.
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// What a plugin asks and tells in a test. Made by [`new`](Host::new) and the methods that add to
/// it; clones are the same host.
#[derive(Clone, Default)]
pub struct Host(Rc<RefCell<Lent>>);

/// All that it has.
#[derive(Default)]
struct Lent {
    simple: simple::Basics,
    tables: lookup::Tables,
    dns: dns::Zone,
    stores: counters::Stores,
    folders: files::Folders,
    services: connect::Services,
}

impl Host {
    /// One that has nothing. Its clock shows 1970.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `question`, and answers whatever it asks this crate's modules.
    pub fn run<T>(&self, question: impl FnOnce() -> T) -> T {
        /// Puts back who answered before, however the question ends.
        struct Before(Option<Host>);

        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }

        let _before = Before(CURRENT.replace(Some(self.clone())));
        question()
    }

    fn with(self, add: impl FnOnce(&mut Lent)) -> Self {
        add(&mut self.0.borrow_mut());
        self
    }
}

/// Asks the host of this thread.
///
/// # Panics
/// There is none.
fn ask<T>(question: impl FnOnce(&mut Lent) -> T) -> T {
    let Some(host) = CURRENT.with_borrow(Clone::clone) else {
        panic!("a native test has a host only within facteur_plugin::testing::Host::run")
    };
    question(&mut host.0.borrow_mut())
}

#[cfg(test)]
mod tests {
    use super::Host;
    use crate::{clock, log};

    #[test]
    fn the_innermost_host_answers_and_the_one_before_comes_back() {
        let (outer, inner) = (Host::new().at(1), Host::new().at(2));
        outer.run(|| {
            assert_eq!(inner.run(clock::now), 2);
            assert_eq!(clock::now(), 1);
            log::info("hello");
        });
        assert_eq!((outer.log(), inner.log()), (vec!["info hello".to_owned()], vec![]));
    }

    #[test]
    #[should_panic(expected = "testing::Host::run")]
    fn nobody_answers_outside() {
        clock::now();
    }
}
