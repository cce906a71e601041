//! Loads policy plugins, and asks them.
//!
//! This is the only crate that knows wasmtime, and it knows no sockets and no queue: what plugins
//! look up comes through [`Services`], what they decide leaves as a [`Decision`], an [`Outgoing`]
//! envelope or a [`Route`]. What a plugin answers is checked like hostile input before anything
//! else sees it, and what can't be decided is refused or deferred, never let in.
//!
//! The way of a question: [`Policy`] (the plugins in force) → [`Session`] (a connection) →
//! [`Transaction`] (an envelope) → a chain of plugins, each in a sandbox of its own → a checked
//! verdict.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

mod asker;
mod contract;
mod domains;
mod extension;
mod facts;
mod grants;
mod hooks;
mod identity;
mod message;
mod plugin;
mod policy;
mod run;
mod runtime;
mod services;
mod session;
mod story;
mod tags;
mod transaction;
mod unavailable;

pub use domains::{Class, Domains};
pub use extension::Delimiter;
pub use facts::{Actions, SessionFacts};
pub use grants::Grants;
pub use hooks::authenticate::{Authenticated, Credentials};
pub use hooks::delivery::{Advice, Attempted};
pub use hooks::next_hop::SmtpRoute;
pub use hooks::transport::{Consignment, Route};
pub use identity::Identity;
pub use message::body::{Bodies, NewBody};
pub use message::header::header_line;
pub use message::{Content, Edited, Message};
pub use plugin::{Isolation, Limits, LoadError, Mode, OnError, Plugin, PluginConfig};
pub use policy::{Chain, Policy, PolicyConfig};
pub use run::Run;
pub use runtime::engine::{EngineError, Runtime};
pub use runtime::meter::{Meter, Used};
pub use runtime::statistics::{Counted, FAILURES_IN_A_ROW};
pub use services::{
    Bucket, Clock, Connect, ConnectError, Count, Counters, Dns, DnsAnswer, DnsError, Ending,
    FileAnswer, FileError, FileInfo, Files, Found, Lifetime, Lists, MailExchanger, Mailboxes,
    Nothing, Overlay, ScanError, Scanned, Scanners, Services, Step, TableError, Tables, Taken,
    Tape, Taped, UnknownStore, Verified, Verify,
};
pub use session::{Decision, Session};
pub use story::{Step as StoryStep, Story};
pub use tags::Tags;
pub use transaction::{FinalRecipient, Outgoing, Transaction};
pub use unavailable::Unavailable;
