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

mod advice;
mod asker;
mod authenticate;
mod bindings;
mod body;
mod code;
mod content;
mod domains;
mod edits;
mod engine;
mod expansion;
mod facts;
mod grants;
mod header;
mod hooks;
mod identity;
mod idle;
mod imports;
mod memory;
mod message;
mod meter;
mod pace;
mod plugin;
mod policy;
mod quota;
mod route;
mod sandbox;
mod services;
mod session;
mod stage;
mod statistics;
mod story;
mod tags;
mod transaction;
mod verdict;

pub use advice::{Advice, Attempted};
pub use authenticate::{Authenticated, Credentials};
pub use body::{Bodies, NewBody};
pub use domains::{Class, Domains, routes_by_itself};
pub use engine::{EngineError, Runtime};
pub use facts::{Actions, SessionFacts};
pub use grants::Grants;
pub use header::header_line;
pub use identity::Identity;
pub use message::{Content, Edited, HEADER_LIMIT, Message};
pub use meter::{Meter, Used};
pub use plugin::{Isolation, Limits, LoadError, Mode, OnError, Plugin, PluginConfig};
pub use policy::{Chain, Policy, PolicyConfig};
pub use route::{Consignment, Route, SmtpRoute};
pub use services::{
    Bucket, Connect, ConnectError, Count, Counters, DnsError, Ending, FileAnswer, FileError,
    FileInfo, Files, Found, Lifetime, MailExchanger, Nothing, Overlay, Rehearsal, ScanError,
    Scanned, Scanners, Services, Step, TableError, Taken, Tape, Taped, Unavailable, UnknownStore,
    Verified, Verify,
};
pub use session::{Decision, Session};
pub use statistics::{Counted, FAILURES_IN_A_ROW};
pub use story::{Step as StoryStep, Story};
pub use tags::Tags;
pub use transaction::{FinalRecipient, Outgoing, Transaction};
