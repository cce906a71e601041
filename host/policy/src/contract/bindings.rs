//! What `wit/0.1` says, as Rust: generated, one module for each hook and one for what all of them
//! import.
//!
//! The hooks are worlds of their own, so that a component can be probed for one interface at a
//! time; the imports are generated once and shared. Nothing outside this crate sees these types:
//! the doors are [`crate::contract::verdict`] and the checks of each hook.

#![allow(missing_docs, clippy::pedantic, reason = "generated code")]

// The types behind the resources. They hold nothing: a resource's number says which session,
// transaction, recipient or message of the store's own `State` is meant, so that no table has to be
// filled and emptied for each call.
pub struct SessionHandle;
pub struct TransactionHandle;
pub struct RecipientHandle;
pub struct MessageHandle;

wasmtime::component::bindgen!({
    path: "../../wit/0.1",
    world: "imports",
    imports: {
        default: trappable,
        "facteur:policy/session.[method]session.client-name": async | trappable,
        "facteur:policy/session.[method]session.reverse-name": async | trappable,
        "facteur:policy/transaction.[method]recipient.listed": async | trappable,
        "facteur:policy/message.[method]message.replace-body": async | trappable,
        "facteur:policy/lookup.find": async | trappable,
        "facteur:policy/dns": async | trappable,
        "facteur:policy/scanner.scan": async | trappable,
        "facteur:policy/verify.recipient": async | trappable,
        "facteur:policy/files.read": async | trappable,
        "facteur:policy/files.info": async | trappable,
        "facteur:policy/files.list": async | trappable,
        "facteur:policy/files.write": async | trappable,
        "facteur:policy/files.remove": async | trappable,
        "facteur:policy/connect.exchange": async | trappable,
    },
    with: {
        "facteur:policy/session.session": SessionHandle,
        "facteur:policy/transaction.transaction": TransactionHandle,
        "facteur:policy/transaction.recipient": RecipientHandle,
        "facteur:policy/message.message": MessageHandle,
    },
});

macro_rules! hook {
    ($name:ident, $world:literal) => {
        pub mod $name {
            wasmtime::component::bindgen!({
                path: "../../wit/0.1",
                world: $world,
                exports: { default: async },
                with: { "facteur:policy": crate::contract::bindings::facteur::policy },
            });
        }
    };
}

hook!(restriction, "restriction-plugin");
hook!(alias, "alias-plugin");
hook!(transport, "transport-plugin");
hook!(content, "content-plugin");
hook!(authenticate, "authenticate-plugin");
hook!(delivery, "delivery-plugin");
