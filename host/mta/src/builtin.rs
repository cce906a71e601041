//! The policy that ships, embedded as components. It has no private door: whatever these can do,
//! anyone's plugin can.

// The components by name (`component = "builtin:NAME"` in the configuration), and how many of them
// aren't built yet.
include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The component with this name.
pub fn component(name: &str) -> Option<&'static [u8]> {
    all_are_there::<()>();
    COMPONENTS.iter().find(|(known, _)| *known == name).map(|(_, wasm)| *wasm)
}

/// Fails when the program is built without its plugins, and not yet when it is checked: what a
/// constant of a generic function is, is found out only when code is made of it.
#[expect(clippy::extra_unused_type_parameters, reason = "it makes the function a generic one")]
fn all_are_there<T>() {
    const { assert!(MISSING == 0, "plugins are missing: run `cargo xtask plugins` first") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_configuration_may_name_is_there() {
        for name in crate::config::BUILTINS {
            assert!(component(name).is_some(), "{name}");
        }
        assert_eq!(COMPONENTS.len(), crate::config::BUILTINS.len());
    }

    /// Whether the name of an interface of the contract stands in it, as it does if it is imported
    /// or exported.
    fn names(wasm: &[u8], interface: &str) -> bool {
        let name = format!("facteur:policy/{interface}@");
        memchr::memmem::find(wasm, name.as_bytes()).is_some()
    }

    /// What each uses of what can be granted.
    const USED: &[(&str, &[&str])] = &[
        ("restrictions", &["lookup", "dns"]),
        ("aliases", &["lookup"]),
        ("transport-map", &["lookup"]),
        ("clamav", &["scanner"]),
        ("header-checks", &["lookup"]),
        ("greylist", &["lookup", "counters"]),
        ("dnsbl", &["dns"]),
        ("rate-limit", &["lookup", "counters"]),
    ];

    #[test]
    fn what_a_plugin_doesnt_use_is_no_part_of_it() {
        for (name, wasm) in COMPONENTS {
            let used = USED.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, used)| used);
            assert!(names(wasm, "settings"), "{name}");
            for interface in ["lookup", "dns", "scanner", "counters", "verify", "files", "connect"]
            {
                assert_eq!(
                    names(wasm, interface),
                    used.contains(&interface),
                    "{name}: {interface}"
                );
            }
        }
    }
}
