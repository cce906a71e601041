//! Whom the crate's modules ask: on WebAssembly the imports of the contract, elsewhere the host
//! that a test made.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::facteur::policy::{
    attempt, clock, connect, counters, credentials, dns, files, log, lookup, message, message_edit,
    recipient, scanner, session, settings, transaction, verify,
};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::{
    attempt, clock, connect, counters, credentials, dns, files, log, lookup, message, message_edit,
    recipient, scanner, session, settings, transaction, verify,
};
