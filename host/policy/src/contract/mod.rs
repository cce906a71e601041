//! The contract `facteur:policy`: what `wit/0.1` says as Rust, the host's half of each import, the
//! functions that a plugin exports, and the checks that all it hands over must pass.

pub(crate) mod bindings;
pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod context;
pub(crate) mod door;
pub(crate) mod exports;
mod imports;
mod newer;
mod places;
mod signature;
pub(crate) mod subject;
pub(crate) mod text;
pub(crate) mod transcript;
pub(crate) mod verdict;
mod version;
mod words;
