//! The contract `facteur:policy`: what `wit/0.1` says as Rust, the host's half of each import, the
//! functions that a plugin exports, and the checks that every answer passes.

pub(crate) mod bindings;
pub(crate) mod exports;
pub(crate) mod imports;
pub(crate) mod sandbox;
pub(crate) mod verdict;
