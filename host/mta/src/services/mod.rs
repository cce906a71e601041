//! What the program lends to policy: its tables, its resolver, its mailboxes, its lists, and what
//! plugins are granted by name.

pub mod connect;
pub mod counters;
pub mod dns;
pub mod files;
mod lent;
pub mod scanner;
pub mod verify;

pub use lent::{Lent, Shared};
