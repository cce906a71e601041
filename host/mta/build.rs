//! Embeds the components that `cargo xtask plugins` made, and says to run it where they are
//! missing. Builds nothing itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What ships.
const BUILTINS: [&str; 8] = [
    "restrictions",
    "aliases",
    "transport-map",
    "clamav",
    "header-checks",
    "greylist",
    "dnsbl",
    "rate-limit",
];

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let made = manifest.join("../../target/plugins");
    let mut list = String::from("[");
    for name in BUILTINS {
        let path = made.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.exists() {
            println!(
                "cargo::error=the plugin {name} isn't built yet: run `cargo xtask plugins` first"
            );
        }
        // Writing to a String can't fail.
        let _ =
            write!(list, "({name:?}, include_bytes!({:?}) as &[u8]), ", path.display().to_string());
    }
    list.push(']');
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    if let Err(error) = std::fs::write(Path::new(&out).join("builtin.rs"), list) {
        println!("cargo::error=builtin.rs can't be written: {error}");
    }
}
