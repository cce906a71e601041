//! What `wit/0.1` says, as Rust: generated. The imports once, each hook as a world of its own, so
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
});

/// A module with the trait and the macro of one exported interface. Its world has a package and a
/// name of its own, since the linker joins what worlds of one name say.
macro_rules! exported {
    ($name:ident, $macro:literal, $world:literal, {$($with:tt)*}) => {
        pub mod $name {
            wit_bindgen::generate!({
                path: "../../wit/0.1",
                inline: $world,
                pub_export_macro: true,
                export_macro_name: $macro,
                with: { $($with)* },
            });
        }
    };
    ($name:ident, $macro:literal, $world:literal) => {
        exported!($name, $macro, $world, {
            "facteur:policy/types@0.1.0": crate::bindings::facteur::policy::types,
        });
    };
}

exported!(
    plugin,
    "export_plugin",
    "package facteur:the-plugin;
    world the-plugin { export facteur:policy/plugin@0.1.0; }",
    {}
);
exported!(
    on_connect,
    "export_on_connect",
    "package facteur:the-on-connect;
    world the-on-connect { export facteur:policy/on-connect@0.1.0; }"
);
exported!(
    on_helo,
    "export_on_helo",
    "package facteur:the-on-helo;
    world the-on-helo { export facteur:policy/on-helo@0.1.0; }"
);
exported!(
    on_mail,
    "export_on_mail",
    "package facteur:the-on-mail;
    world the-on-mail { export facteur:policy/on-mail@0.1.0; }"
);
exported!(
    on_rcpt,
    "export_on_rcpt",
    "package facteur:the-on-rcpt;
    world the-on-rcpt { export facteur:policy/on-rcpt@0.1.0; }"
);
exported!(
    on_data,
    "export_on_data",
    "package facteur:the-on-data;
    world the-on-data { export facteur:policy/on-data@0.1.0; }"
);
exported!(
    on_end_of_data,
    "export_on_end_of_data",
    "package facteur:the-on-end-of-data;
    world the-on-end-of-data { export facteur:policy/on-end-of-data@0.1.0; }"
);
exported!(
    on_content,
    "export_on_content",
    "package facteur:the-on-content;
    world the-on-content { export facteur:policy/on-content@0.1.0; }"
);
exported!(
    on_alias,
    "export_on_alias",
    "package facteur:the-on-alias;
    world the-on-alias { export facteur:policy/on-alias@0.1.0; }"
);
exported!(
    on_transport,
    "export_on_transport",
    "package facteur:the-on-transport;
    world the-on-transport { export facteur:policy/on-transport@0.1.0; }"
);
exported!(
    on_delivery,
    "export_on_delivery",
    "package facteur:the-on-delivery;
    world the-on-delivery { export facteur:policy/on-delivery@0.1.0; }"
);
exported!(
    on_authenticate,
    "export_on_authenticate",
    "package facteur:the-on-authenticate;
    world the-on-authenticate { export facteur:policy/on-authenticate@0.1.0; }"
);
