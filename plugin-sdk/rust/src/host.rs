//! Whom the crate's modules ask: on WebAssembly the imports of the contract, elsewhere the host
//! that a test made.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::facteur::policy::{
    clock, connect, counters, dns, files, log, lookup, settings, verify,
};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::{
    clock, connect, counters, dns, files, log, lookup, settings, verify,
};
