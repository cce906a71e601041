//! The harness of the whole-system tests: a machine of the test's own, with its own network, users
//! and DNS, on which the real binary runs and is spoken to over real sockets.
//!
//! ```no_run
//! use facteur_tests::{Client, Dns, Facteur, machine};
//!
//! // In a file of tests/system, below #[test]:
//! fn strangers_may_not_relay() {
//!     machine(|machine| {
//!         machine.addresses(&["192.0.2.1", "203.0.113.25"]);
//!         let _dns = Dns::start("127.0.0.1", "mail.example.org A 192.0.2.1");
//!         let config = machine.write("/etc/facteur/facteur.toml", "hostname = …");
//!         let _facteur = Facteur::start(machine, &config);
//!         let mut client = Client::connect("203.0.113.25", "192.0.2.1:25");
//!         assert_eq!(client.send("NOOP"), "250 2.0.0 Ok");
//!     });
//! }
//! ```
//!
//! A test waits for what it needs by asking until a deadline ([`until`]), never by sleeping a
//! guessed time. Whatever goes wrong in here is a panic that says what was missing, which is how a
//! test fails.

#![forbid(unsafe_code)]
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "the harness panics to fail the test that uses it"
)]

mod authority;
mod clamd;
mod client;
mod component;
mod dns;
mod dovecot;
mod facteur;
mod gateway;
mod haproxy;
mod load;
mod machine;
mod mail;
mod postfix;
mod process;
mod programs;
mod sink;
mod site;
mod smtp_sink;
mod statistics;
mod wait;

pub use authority::{Authority, Key};
pub use clamd::Clamd;
pub use client::{Client, Reply};
pub use component::{renamed, with_functions, with_tables};
pub use dns::Dns;
pub use dovecot::{DOVECOT_SOCKET, Dovecot};
pub use facteur::{Entry, EntryRecipient, Facteur, run_facteur};
pub use gateway::{GATEWAY, Gateway, LOCAL};
pub use haproxy::Haproxy;
pub use load::{Heard, LOAD_SENDER, Load, Plan, arrived, numbered, sized};
pub use machine::{Machine, again_on_machine, machine, machine_within};
pub use mail::{Mail, crlf, letter, maildir};
pub use postfix::Postfix;
pub use process::{Output, Process, output_of};
pub use programs::{facteur_binary, peer, postfix_folder, probe_plugin, target_folder};
pub use sink::{Handshake, Sink};
pub use site::{POSTFIX_TABLES, SATELLITE, SITE, STRANGER, SULFURA, Site, TRUSTED};
pub use smtp_sink::SmtpSink;
pub use statistics::{median, ratio};
pub use wait::{PATIENCE, until, within};
