//! What `wit/0.1` says, as Rust: generated from the world of all imports.
//!
//! Exports need no code: a hook is a function without parameters ([`super::exports`]). Nothing
//! outside this crate sees these types: the doors are [`crate::contract::verdict`] and the checks
//! of each hook.

#![allow(missing_docs, clippy::pedantic, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../wit/0.1",
    world: "imports",
    additional_derives: [PartialEq, Eq, Hash],
    imports: {
        default: trappable,
        "facteur:policy/session.client-name": async | trappable,
        "facteur:policy/session.reverse-name": async | trappable,
        "facteur:policy/transaction.sender-listed": async | trappable,
        "facteur:policy/transaction.listed": async | trappable,
        "facteur:policy/recipient.listed": async | trappable,
        "facteur:policy/message-edit.replace-body": async | trappable,
        "facteur:policy/lookup.check": async | trappable,
        "facteur:policy/lookup.find": async | trappable,
        "facteur:policy/lookup.find-client": async | trappable,
        "facteur:policy/lookup.find-helo": async | trappable,
        "facteur:policy/lookup.find-sender": async | trappable,
        "facteur:policy/lookup.find-recipient": async | trappable,
        "facteur:policy/lookup.find-accepted": async | trappable,
        "facteur:policy/dns.addresses": async | trappable,
        "facteur:policy/dns.mail-exchangers": async | trappable,
        "facteur:policy/dns.texts": async | trappable,
        "facteur:policy/dns.name-servers": async | trappable,
        "facteur:policy/dns.names-of": async | trappable,
        "facteur:policy/scanner.scan": async | trappable,
        "facteur:policy/verify.recipient": async | trappable,
        "facteur:policy/files.read": async | trappable,
        "facteur:policy/files.info": async | trappable,
        "facteur:policy/files.names": async | trappable,
        "facteur:policy/files.write": async | trappable,
        "facteur:policy/files.remove": async | trappable,
        "facteur:policy/connect.exchange": async | trappable,
    },
});
