//! Where the programs are that the tests start.

use std::path::{Path, PathBuf};

/// The folder that cargo builds into (`target/debug`, for benches `target/release`), from where
/// this program runs.
fn build_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // target/debug/deps/system-0123456789abcdef
    test.parent()
        .and_then(Path::parent)
        .expect("cargo puts tests into target/debug/deps")
        .to_owned()
}

/// `target`, in the folder of the repository: where peers and the tests' own files are.
pub fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
        .join("target")
}

/// The program under test.
pub fn facteur_binary() -> PathBuf {
    let path = build_folder().join("facteur");
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask test`, or `cargo xtask bench`",
        path.display()
    );
    path
}

/// A peer's program, such as `smtp-sink` or `swaks`.
pub fn peer(name: &str) -> PathBuf {
    let path = target_folder().join("peers/bin").join(name);
    assert!(path.is_file(), "{} is missing: run `cargo xtask peers`", path.display());
    path
}

/// Where Postfix is unpacked.
pub fn postfix_folder() -> PathBuf {
    let path = target_folder().join("peers/postfix");
    assert!(path.is_dir(), "{} is missing: run `cargo xtask peers`", path.display());
    path
}

/// The plugin that does what its settings say.
pub fn probe_plugin() -> PathBuf {
    let path = target_folder().join("hostile/probe.wasm");
    assert!(path.is_file(), "{} is missing: run `cargo xtask plugins`", path.display());
    path
}
