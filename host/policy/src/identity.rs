//! Which component a plugin is: the hash of its bytes, and the version that its author gave it.

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};

/// The custom section that a version stands in, by the convention of the component tools
/// (`wasm-tools metadata add --version`).
const SECTION: &str = "version";
/// The longest version that is shown, in characters.
const LONGEST: usize = 64;

/// What tells one component from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// As its author wrote it; None where nothing is written.
    pub version: Option<String>,
}

impl Identity {
    pub(crate) fn of(wasm: &[u8]) -> Self {
        Self { hash: format!("{:x}", Sha256::digest(wasm)), version: version(wasm) }
    }
}

/// The version in the component's own custom section, not in one of the modules within it. It is
/// the author's text: made printable.
fn version(wasm: &[u8]) -> Option<String> {
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                let text = String::from_utf8_lossy(section.data());
                let text: String =
                    text.chars().filter(char::is_ascii_graphic).take(LONGEST).collect();
                return (!text.is_empty()).then_some(text);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one custom section.
    fn component(name: &str, data: &str) -> Vec<u8> {
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        let size = u8::try_from(1 + name.len() + data.len()).unwrap();
        wasm.extend([0, size, u8::try_from(name.len()).unwrap()]);
        wasm.extend(name.bytes().chain(data.bytes()));
        wasm
    }

    #[test]
    fn a_version_is_read_where_there_is_one() {
        assert_eq!(version(&component("version", "1.2.3")).as_deref(), Some("1.2.3"));
        assert_eq!(version(&component("version", "1\r\n\x1b[31m2")).as_deref(), Some("1[31m2"));
        assert_eq!(version(&component("name", "1.2.3")), None);
        assert_eq!(version(b"no component"), None);
    }
}
