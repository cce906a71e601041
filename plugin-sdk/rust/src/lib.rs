//! Policy plugins for the mail server facteur, in Rust.
//!
//! A plugin is one WebAssembly component that exports any of the hooks of `facteur:policy@0.1.0`.
//! Here a hook is a function without parameters, named once in [`export!`]; what isn't named isn't
//! asked. What a question is about is asked of the host, one fact a function:
//!
//! ```
//! use facteur_plugin::{Reply, Verdict, recipient};
//!
//! fn rcpt() -> Verdict {
//!     if recipient::address().local.contains("13") {
//!         return Verdict::Reject(Reply::new(550, "5.7.1", "that brings bad luck"));
//!     }
//!     Verdict::NoOpinion
//! }
//!
//! facteur_plugin::export!(on_rcpt: rcpt);
//! ```
//!
//! and it is tested by calling it:
//!
//! ```
//! # use facteur_plugin::{Reply, Verdict, recipient};
//! # fn rcpt() -> Verdict {
//! #     if recipient::address().local.contains("13") {
//! #         return Verdict::Reject(Reply::new(550, "5.7.1", "that brings bad luck"));
//! #     }
//! #     Verdict::NoOpinion
//! # }
//! use facteur_plugin::RecipientClass;
//! use facteur_plugin::testing::Host;
//!
//! let host = Host::new().recipient("bob@example.org", RecipientClass::Local);
//! assert_eq!(host.run(rcpt), Verdict::NoOpinion);
//! ```
//!
//! # The way through this crate
//!
//! 1. **The hooks.** [`export!`] lists them, when each is asked, and what it answers. The types of
//!    the answers stand below and bear the contract's names: a restriction says a [`Verdict`], a
//!    content plugin a [`ContentVerdict`], an alias plugin an [`Expansion`], a transport plugin a
//!    [`NextHop`], one that is asked after an attempt an [`Advice`]; one that can't always decide
//!    answers with a `Result`, whose error is a [`Failure`].
//! 2. **What a question is about**: [`session`], [`transaction`], [`recipient`], [`message`],
//!    [`attempt`], [`credentials`]. Each is for some hooks; elsewhere a call is a trap. What a
//!    plugin does besides answering stands there too: [`transaction::hold`], [`message_edit`] and
//!    the like.
//! 3. **Settings.** [`settings::read`] in `init` gives them as a type of the plugin's own. A
//!    transaction runs in a fresh instance, so what `init` made of them is put into a [`Kept`],
//!    and costs almost nothing to get back. [`Period`] is a time as operators write it.
//!    [`settings::skip`] turns a hook off that has nothing to do.
//! 4. **What the host lends.** [`log`], [`settings`] and [`clock`] are everyone's; [`lookup`],
//!    [`dns`], [`scanner`], [`counters`], [`verify`], [`files`] and [`connect`] need a grant of the
//!    operator's. Each has a `check` for `init`, so that a missing grant is told before the first
//!    mail. They share one [`Error`], which becomes a [`Failure`] with `?`; [`During`] names what
//!    was asked.
//! 5. **What nearly every mail policy needs**: [`lookup::find_client`] and its kin make Postfix's
//!    keys for what is asked about; [`network`], [`status`], [`text`] and [`value`].
//! 6. **Tests.** [`testing`] is a made-up host, so that `cargo test` calls your hooks on your
//!    machine, with a client, an envelope, a message, tables, DNS and counters of your making,
//!    without a mail server.
//!
//! The contract itself, with every limit, is `wit/0.1`; `docs/plugins.md` says what the host does
//! with the answers. A template to copy is in `plugin-sdk/rust/template`.
//!
//! # What it doesn't do
//!
//! It doesn't speak to the network and has no clock but the host's; `std`'s files, sockets, threads
//! and clock don't work on this target. A panic ends the sandbox, not the server; what it says is
//! in the operator's log. On WebAssembly the crate brings its own allocator, made for instances
//! that live for one message: it asks the host for no memory before the first pages are used up.

pub mod bindings;

#[cfg(any(target_arch = "wasm32", test))]
mod allocator;
mod export;
mod host;
mod kept;
mod period;
mod types;

pub mod attempt;
pub mod clock;
pub mod connect;
pub mod counters;
pub mod credentials;
pub mod dns;
pub mod files;
pub mod log;
pub mod lookup;
pub mod message;
pub mod message_edit;
pub mod network;
#[doc(hidden)]
pub mod panic;
pub mod recipient;
pub mod scanner;
pub mod session;
pub mod settings;
pub mod status;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod text;
pub mod transaction;
pub mod value;
pub mod verify;

pub use bindings::facteur::policy::types::{
    Advice, ContentVerdict, Error, Expanded, Expansion, Failure, MailAddress, NextHop,
    RecipientClass, Refusal, Reply, Route, Scope, Target, TlsLevel, Verdict,
};
#[doc(hidden)]
pub use export::Answer;
pub use kept::Kept;
pub use period::Period;
pub use types::During;
