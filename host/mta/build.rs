//! Embeds the components that `cargo xtask plugins` made, and says to run it where they are
//! missing. Builds nothing itself. Without them the program can be checked (`cargo check`, clippy,
//! rust-analyzer), but not be built: `MISSING` says so to `builtin.rs`.

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
    let mut list = String::new();
    let mut missing = 0;
    for name in BUILTINS {
        let path = made.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", path.display());
        if path.exists() {
            let path = path.display().to_string();
            // Writing to a String can't fail.
            let _ = write!(list, "({name:?}, include_bytes!({path:?})), ");
        } else {
            println!("cargo::warning=the plugin {name} isn't built yet: run `cargo xtask plugins`");
            missing += 1;
        }
    }
    let code = format!(
        "static COMPONENTS: &[(&str, &[u8])] = &[{list}];\nconst MISSING: usize = {missing};\n"
    );
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    if let Err(error) = std::fs::write(Path::new(&out).join("builtin.rs"), code) {
        println!("cargo::error=builtin.rs can't be written: {error}");
    }
}
