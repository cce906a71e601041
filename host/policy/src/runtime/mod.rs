//! The machine that plugins run on: the engine, compiled code, the pool of instances, and what
//! bounds and counts a guest's work.
//!
//! It knows wasmtime, and no mail.

pub(crate) mod compile_cache;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod guest;
pub(crate) mod idle;
pub(crate) mod instance_pool;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod meter;
pub(crate) mod pace;
pub(crate) mod quota;
pub(crate) mod sandbox;
pub(crate) mod statistics;
pub(crate) mod store;
pub(crate) mod trap;
pub(crate) mod weight;
