//! facteur, the program, as a library: what the binary and the tests are made of.
//!
//! A message goes one way: [`listener`] → [`session`] → [`intake`] → the spool → [`queue`] →
//! [`delivery`]; each step is one module with one door. Beside the way stand what all steps share
//! ([`mta`], [`live`], [`config`], [`tables`], [`dns`], [`services`], [`bodies`]) and the
//! operator's doors ([`admin`], [`cli`]); [`serve`] starts and stops it all.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod bodies;
pub mod bounce;
pub mod builtin;
pub mod cli;
pub mod config;
pub mod connect;
pub mod counters;
pub mod decisions;
pub mod delivery;
pub mod demo;
pub mod dns;
pub mod endpoint;
pub mod files;
pub mod intake;
pub mod listener;
pub mod live;
pub mod mta;
pub mod notice;
pub mod plugins;
pub mod queue;
pub mod rehearsal;
pub mod scanner;
pub mod serve;
pub mod services;
pub mod session;
pub mod tables;
pub mod verify;
