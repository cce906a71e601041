//! What `wit/0.1` says, as Rust: generated. The imports once, the hooks as worlds of their own, so
//! that a plugin exports only those that it has.

#![allow(
    missing_docs,
    unsafe_code,
    unused_qualifications,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../../wit/0.1",
    world: "imports",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq, Eq],
    pub_export_macro: true,
});

macro_rules! hook {
    ($name:ident, $world:literal, $macro:literal) => {
        pub mod $name {
            wit_bindgen::generate!({
                path: "../../wit/0.1",
                world: $world,
                pub_export_macro: true,
                export_macro_name: $macro,
                additional_derives: [PartialEq, Eq],
                with: {
                    "facteur:policy/types@0.1.0": crate::bindings::facteur::policy::types,
                    "facteur:policy/session@0.1.0": crate::bindings::facteur::policy::session,
                    "facteur:policy/transaction@0.1.0": crate::bindings::facteur::policy::transaction,
                    "facteur:policy/message@0.1.0": crate::bindings::facteur::policy::message,
                    "facteur:policy/log@0.1.0": crate::bindings::facteur::policy::log,
                    "facteur:policy/settings@0.1.0": crate::bindings::facteur::policy::settings,
                    "facteur:policy/clock@0.1.0": crate::bindings::facteur::policy::clock,
                    "facteur:policy/lookup@0.1.0": crate::bindings::facteur::policy::lookup,
                    "facteur:policy/dns@0.1.0": crate::bindings::facteur::policy::dns,
                    "facteur:policy/scanner@0.1.0": crate::bindings::facteur::policy::scanner,
                    "facteur:policy/counters@0.1.0": crate::bindings::facteur::policy::counters,
                    "facteur:policy/verify@0.1.0": crate::bindings::facteur::policy::verify,
                    "facteur:policy/files@0.1.0": crate::bindings::facteur::policy::files,
                    "facteur:policy/connect@0.1.0": crate::bindings::facteur::policy::connect,
                },
            });
        }
    };
}

hook!(restriction, "restriction-plugin", "export_restriction");
hook!(alias, "alias-plugin", "export_alias");
hook!(transport, "transport-plugin", "export_transport");
hook!(content, "content-plugin", "export_content");
hook!(authenticate, "authenticate-plugin", "export_authenticate");
hook!(delivery, "delivery-plugin", "export_delivery");
