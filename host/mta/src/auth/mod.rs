//! Who a client is: AUTH's mechanisms, and those who know what proves a login.
//!
//! A session hands an [`Exchange`] what its client says, and gives back what it says to that. Whom
//! it asks is the operator's: a table of users, then the plugins with the `authenticate` hook; or
//! Dovecot, for all of it.
//!
//! Invariants: passwords are checked off the event loop, by a bounded number of threads; an unknown
//! user costs what a wrong password does; what can't be told now lets nobody in and is never said
//! to be wrong; what proves a login stands in no error and no log.
//!
//! The other way round, an [`Initiator`] logs in to a server that relays for us.
//!
//! The command, its lines and replies are the machine's (`facteur_smtp`); counting and slowing
//! those who fail is [`Failures`]', which the session asks.

mod authenticator;
mod connection;
mod dovecot;
mod exchange;
mod failures;
mod initiator;
mod message;
mod name;
mod password;
mod room;
mod scram;
mod scram_client;
mod secret;
mod users;

pub use authenticator::{Authenticator, Shared};
pub use connection::Connection;
pub use exchange::{Exchange, Outcome, Parties, Step};
pub use failures::{Attempt, Failures};
pub use initiator::{GivenUp, Initiator, Mechanism};
pub(crate) use name::login;
pub use password::{Scheme, entry};
pub use scram::Binding;
