//! Policy plugins for the mail server facteur, in Rust.
//!
//! A plugin is one WebAssembly component that exports any of the hooks of `facteur:policy@0.1.0`.
//! Here each hook is a trait: [`Restriction`], [`Alias`], [`Transport`], [`Content`],
//! [`Authenticate`], [`Delivery`]. Implement those that the plugin has, and name them once in
//! [`export!`]:
//!
//! ```
//! use facteur_plugin::{
//!     Failure, Recipient, Reply, Restriction, Session, Stages, Transaction, Verdict,
//! };
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
//! # The way through this crate
//!
//! 1. **The hook.** Its trait says when it is asked and what it may answer; the types of questions
//!    and answers stand below, and bear the contract's names. [`Session`], [`Transaction`],
//!    [`Recipient`] and [`Message`] are what a question is about, and how a plugin acts on it.
//! 2. **Settings.** [`settings::read`] in `init` gives them as a type of the plugin's own. A
//!    transaction runs in a fresh instance, so what `init` made of them is put into a [`Kept`],
//!    and costs almost nothing to get back. [`Period`] is a time as operators write it.
//! 3. **What the host lends.** [`log`], [`settings`] and [`clock`] are everyone's; [`lookup`],
//!    [`dns`], [`scanner`], [`counters`], [`verify`], [`files`] and [`connect`] need a grant of the
//!    operator's. Each has a `check` for `init`, so that a missing grant is told before the first
//!    mail, and its errors become a [`Failure`] with `?`.
//! 4. **What nearly every mail policy needs**: [`access`], [`domain`], [`network`], [`status`],
//!    [`text`] and [`value`].
//! 5. **Tests.** [`testing`] is a made-up host, so that `cargo test` tries the rule on your
//!    machine, with tables, DNS and counters, without a mail server.
//!
//! The contract itself, with every limit, is `wit/0.1`; `docs/plugins.md` says what the host does
//! with the answers. A template to copy is in `plugin-sdk/rust/template`.
//!
//! # What it doesn't do
//!
//! It doesn't speak to the network and has no clock but the host's; `std`'s files, sockets, threads
//! and clock don't work on this target. On WebAssembly the crate brings its own allocator, made for
//! instances that live for one message: it asks the host for no memory before the first pages are
//! used up.

pub mod bindings;

#[cfg(any(target_arch = "wasm32", test))]
mod allocator;
mod hooks;
mod host;
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
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod text;
pub mod value;
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
