//! What a message costs, each in its own unit; see the modules.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod instructions;
mod policy;
mod syncs;
