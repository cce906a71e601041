//! The policy that ships, embedded as components. It has no private door: whatever these can do, anyone's plugin can.

/// The components by name; `component = "builtin:NAME"` in the configuration.
static COMPONENTS: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The component with this name.
pub fn component(name: &str) -> Option<&'static [u8]> {
    COMPONENTS.iter().find(|(known, _)| *known == name).map(|(_, wasm)| *wasm)
}
