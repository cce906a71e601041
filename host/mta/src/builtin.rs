//! The policy that ships, embedded as components. It has no private door: whatever these can do, anyone's plugin can.

/// The components by name; `component = "builtin:NAME"` in the configuration.
static COMPONENTS: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The component with this name.
pub fn component(name: &str) -> Option<&'static [u8]> {
    COMPONENTS.iter().find(|(known, _)| *known == name).map(|(_, wasm)| *wasm)
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
}
