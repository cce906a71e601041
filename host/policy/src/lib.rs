//! Loads policy plugins, and asks them.
//!
//! This is the only crate that knows wasmtime, and it knows no sockets and no queue: what plugins
//! look up comes through [`Services`], what they decide leaves as a [`Decision`], an [`Outgoing`]
//! envelope or a [`Route`]. What a plugin answers is checked like hostile input before anything
//! else sees it, and what can't be decided is refused or deferred, never let in.
//!
//! The way of a question: [`Policy`] (the plugins in force) → [`Session`] (a connection) →
//! [`Transaction`] (an envelope) → a chain of plugins, each in a sandbox of its own → a checked
//! verdict. The queue asks [`Policy`] itself.
//!
//! The rooms, from below, each of which knows only those before it:
//!
//! - words of the field: domains, extensions, the keys of tables, tags, grants, settings,
//!   credentials, next hops, the trace of decisions;
//! - `services`: what is lent to plugins, a trait for each subject;
//! - `message` and `facts`: what plugins see;
//! - `runtime`: the machine that guests run on. It knows wasmtime, and no mail;
//! - `contract`: `wit/0.1` as Rust, the host's half of the imports, the checks;
//! - `memo`: what is remembered of answers; `plugin`: one that is loaded; `dispatch`: the one door
//!   to it;
//! - `hooks`: how each hook is asked, a file for each. Begin here to see what policy decides;
//! - `policy`, `directory` (what an address stands for, where it goes), and what the program
//!   calls: `session`, `transaction`, `queue`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

mod contract;
mod credentials;
mod decision;
mod directory;
mod dispatch;
mod domains;
mod extension;
mod facts;
mod grants;
mod hooks;
mod identity;
mod lookup_keys;
mod memo;
mod message;
mod next_hop;
mod plugin;
mod policy;
mod queue;
mod recipients;
mod run;
mod runtime;
mod services;
mod session;
mod settings;
mod tags;
mod trace;
mod transaction;
mod unavailable;

pub use contract::context::Runtime;
pub use credentials::Credentials;
pub use decision::Decision;
pub use domains::{Class, Domains};
pub use extension::Delimiter;
pub use facts::{Actions, ClientCertificate, Consignment, SessionFacts, TlsFacts};
pub use grants::Grants;
pub use hooks::authenticate::Authenticated;
pub use hooks::delivery::{Advice, Attempted};
pub use hooks::transport::Route;
pub use identity::Identity;
pub use lookup_keys::address_keys;
pub use memo::{Memos, Remembered};
pub use message::{Bodies, BodyError, Content, Edited, Message, NewBody, header_line};
pub use next_hop::{RouteTls, SmtpRoute};
pub use plugin::{Chain, LoadError, Mode, OnError, Plugin, PluginConfig};
pub use policy::{Policy, PolicyConfig};
pub use recipients::FinalRecipient;
pub use run::Run;
pub use runtime::engine::EngineError;
pub use runtime::limits::{Isolation, Limits};
pub use runtime::meter::{Meter, Used};
pub use runtime::statistics::{Counted, FAILURES_IN_A_ROW};
pub use services::{
    Bucket, Clock, Connect, ConnectError, Count, Counters, Dns, DnsAnswer, DnsError, Ending,
    FileAnswer, FileError, FileInfo, Files, Found, Lifetime, Lists, MailExchanger, Mailboxes,
    Nothing, Overlay, ScanError, Scanned, Scanners, Services, Step, TableError, Tables, Taken,
    Tape, Taped, UnknownStore, Verified, Verify,
};
pub use session::Session;
pub use tags::Tags;
pub use trace::{Facts, Step as TraceStep, Trace};
pub use transaction::{Outgoing, Transaction};
pub use unavailable::Unavailable;
