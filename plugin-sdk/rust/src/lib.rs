//! Policy plugins for the mail server facteur, in Rust.
//!
//! A plugin is one WebAssembly component that exports any of the hooks of `facteur:policy@0.1.0`.
//! Here each hook is a trait: [`Restriction`], [`Alias`], [`Transport`], [`Content`],
//! [`Authenticate`], [`Delivery`]. Implement those that the plugin has, and name them once in
//! [`export!`]:
//!
//! ```
//! use facteur_plugin::{Failure, Recipient, Reply, Restriction, Session, Stages, Transaction, Verdict};
//!
//! struct NoThirteen;
//!
//! impl Restriction for NoThirteen {
//!     fn init() -> Result<Stages, String> {
//!         Ok(Stages::RCPT)
//!     }
//!
//!     fn rcpt(_: &Session, _: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
//!         if to.address().local.contains("13") {
//!             return Ok(Verdict::Reject(Reply::new(550, "5.7.1", "that brings bad luck")));
//!         }
//!         Ok(Verdict::Dunno)
//!     }
//! }
//!
//! facteur_plugin::export!(restriction: NoThirteen);
//! ```
//!
//! What the host lends stands in the modules [`lookup`], [`dns`], [`scanner`], [`counters`],
//! [`verify`], [`files`], [`connect`], [`log`], [`settings`] and [`clock`]. The contract itself,
//! with every limit, is `wit/0.1`; the names here are its names. The modules [`access`],
//! [`domain`], [`network`], [`status`] and [`text`] hold what nearly every mail
//! policy needs and nobody should write twice.
//!
//! A transaction runs in a fresh instance, so what `init` makes of the settings is kept in a
//! [`Kept`] and costs almost nothing to get back. On WebAssembly the crate brings its own
//! allocator, made for that: it asks the host for no memory before the first pages are used up.
//! Natively the host's functions panic: keep the logic that you test free of them.
//!
//! It doesn't speak to the network and has no clock but the host's; `std`'s clock panics on this
//! target.

pub mod bindings;

#[cfg(any(target_arch = "wasm32", test))]
mod allocator;
mod hooks;
mod kept;
mod period;
mod types;

pub mod access;
pub mod clock;
pub mod connect;
pub mod counters;
pub mod dns;
pub mod domain;
pub mod files;
pub mod log;
pub mod lookup;
pub mod network;
pub mod scanner;
pub mod settings;
pub mod status;
pub mod text;
pub mod verify;

pub use bindings::facteur::policy::message::Message;
pub use bindings::facteur::policy::session::{LookupFailure, Session};
pub use bindings::facteur::policy::transaction::{Recipient, Transaction};
pub use bindings::facteur::policy::types::{Address, Failure, RecipientClass, Reply, Verdict};
pub use hooks::{
    Advice, Alias, Answer, Attempt, Authenticate, Content, Credentials, Delivery, Expansion,
    Restriction, Route, Scope, Stages, Target, TlsLevel, Transport,
};
pub use kept::Kept;
pub use period::Period;
