//! A host for native tests: a client, an envelope, a message, tables, DNS, counters, files,
//! services, a clock and a log, all made up.
//!
//! Within [`Host::run`] the modules of this crate answer from the made-up host, as the real one
//! would. So a hook is tested by calling it, and what it did is there to be looked at:
//!
//! ```
//! use facteur_plugin::lookup::{self, Manner};
//! use facteur_plugin::testing::Host;
//! use facteur_plugin::{During, Failure, Verdict, transaction};
//!
//! fn mail() -> Result<Verdict, Failure> {
//!     let enemies = ["enemies".to_owned()];
//!     if lookup::find_sender(&enemies, Manner::Access).during("enemies")?.is_some() {
//!         transaction::hold("an enemy");
//!     }
//!     Ok(Verdict::NoOpinion)
//! }
//!
//! let host = Host::new().table("enemies", &[("evil.example", "")]);
//! host.run(mail).unwrap();
//! assert_eq!(host.did(), [""; 0]);
//!
//! let host = host.sender("eve@evil.example");
//! host.run(mail).unwrap();
//! assert_eq!(host.did(), ["hold an enemy"]);
//!
//! let host = Host::new().broken_table("enemies");
//! assert!(host.run(mail).is_err_and(|failure| failure.transient));
//! ```
//!
//! Unless a test says otherwise a stranger at 192.0.2.1 without a name said `EHLO
//! client.example.com`, and sends from sender@example.com to recipient@example.org, who is a local
//! user. Everything that the host has is granted; what it hasn't is answered with the contract's
//! error. No limit of the contract is checked, nor what a hook may call: for that, `facteur try`
//! plays a plugin as a whole.
//!
//! Each thread has its own host, so that tests may run beside each other. The module isn't there on
//! WebAssembly.

pub(crate) mod connect;
mod content;
pub(crate) mod counters;
mod delivery;
pub(crate) mod dns;
mod envelope;
pub(crate) mod files;
mod keys;
mod login;
pub(crate) mod lookup;
pub(crate) mod session;
mod simple;

use std::cell::RefCell;
use std::rc::Rc;

pub(crate) use content::{message, message_edit, scanner};
pub(crate) use delivery::attempt;
pub(crate) use envelope::{recipient, transaction};
pub(crate) use login::credentials;
pub(crate) use simple::{clock, log, settings, verify};

use crate::{MailAddress, value};

thread_local! {
    /// Who answers on this thread.
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// What a plugin asks and tells in a test. Made by [`new`](Host::new) and the methods that add to
/// it. A clone that is given more becomes a host of its own.
#[derive(Clone, Default)]
pub struct Host(Rc<RefCell<Made>>);

/// All that it has.
#[derive(Clone, Default)]
struct Made {
    client: session::Client,
    envelope: envelope::Envelope,
    message: content::Message,
    attempt: delivery::Attempt,
    credentials: login::Credentials,
    simple: simple::Basics,
    tables: lookup::Tables,
    dns: dns::Zone,
    stores: counters::Stores,
    folders: files::Folders,
    services: connect::Services,
}

impl Host {
    /// One that has nothing but a session and an envelope. Its clock shows 1970.
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

    fn with(self, add: impl FnOnce(&mut Made)) -> Self {
        let own = match Rc::try_unwrap(self.0) {
            Ok(own) => own,
            Err(shared) => RefCell::clone(&shared),
        };
        let mut own = own.into_inner();
        add(&mut own);
        Self(Rc::new(RefCell::new(own)))
    }
}

/// Asks the host of this thread.
///
/// # Panics
/// There is none.
fn ask<T>(question: impl FnOnce(&mut Made) -> T) -> T {
    let Some(host) = CURRENT.with_borrow(Clone::clone) else {
        panic!("a native test has a host only within facteur_plugin::testing::Host::run")
    };
    question(&mut host.0.borrow_mut())
}

/// Remembers what was done.
fn did(what: String) {
    ask(|state| state.simple.did.push(what));
}

/// `local@domain`, or a bare name.
fn parsed(address: &str) -> MailAddress {
    value::address(address).unwrap_or_else(|| MailAddress::new(address, ""))
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
    fn a_clone_that_is_given_more_is_another_host() {
        let host = Host::new().at(1);
        let later = host.clone().at(2);
        assert_eq!((host.run(clock::now), later.run(clock::now)), (1, 2));
        // Until then it is the same.
        host.clone().pass(5);
        assert_eq!(host.run(clock::now), 6);
    }

    #[test]
    #[should_panic(expected = "testing::Host::run")]
    fn nobody_answers_outside() {
        clock::now();
    }
}
