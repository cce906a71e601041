//! facteur, the program, as a library: what the binary and the tests are made of.
//!
//! A message goes one way: [`receive`] → the spool → [`queue`] → [`delivery`], and what became of
//! it is told by [`dsn`]. Beneath the way stands what its steps share ([`recipient`], [`snapshot`],
//! [`config`], [`tables`], [`tls`], [`services`], [`watch`], [`whole`]), above it the operator's
//! doors ([`operate`], [`cli`]). No room imports one that stands above it.
//!
//! Begin with [`receive::session`], and follow a recipient: [`receive::intake`], [`queue::Queue`],
//! [`delivery::Deliverer`], [`queue`] again for what is done with the outcome. How the parts are put
//! together is [`operate::serve`]'s.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
// They panic where nobody reads: `cli::out` prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod accepting;
mod auth;
pub mod builtin;
pub mod cli;
pub mod config;
mod decisions;
mod delivery;
mod dsn;
pub mod operate;
mod queue;
mod receive;
mod recipient;
pub mod services;
mod simulation;
pub mod snapshot;
pub mod tables;
mod tls;
mod watch;
mod whole;
