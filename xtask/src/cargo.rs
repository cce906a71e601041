//! Cargo: run without what the `cargo run` that started us left in the environment, and asked about
//! what it knows.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::{CrateType, Metadata, MetadataCommand, Package};

use crate::shell::{self, Outcome};

/// The cargo of the tool chain that runs us, in the repository.
pub fn for_host() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(shell::root());
    for (name, _) in env::vars_os() {
        if describes_xtask(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// The same for guests, which nothing meant for the host's build may reach: no compiler, flags,
/// target or profile from the environment. What says where crates come from, how output looks and
/// which of rustup's tool chains to use stays.
pub fn for_guests() -> Command {
    const KEPT: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
        "CARGO_BUILD_JOBS",
    ];
    let mut command = Command::new("cargo");
    command.current_dir(shell::root());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo = text == "CARGO" || text.starts_with("CARGO_");
        let of_rustc =
            ["RUSTC", "RUSTDOC", "RUSTFLAGS"].iter().any(|prefix| text.starts_with(prefix));
        if of_rustc || of_cargo && !KEPT.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command
}

/// What `cargo run` sets about the package it runs: build scripts that watch such a name would see
/// it change.
fn describes_xtask(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == "CARGO" || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")
}

/// What cargo knows of the packages of a workspace; `cargo` says in which folder.
pub fn metadata(cargo: &mut Command) -> Outcome<Metadata> {
    parsed(cargo.args(["metadata", "--format-version=1", "--no-deps"]))
}

/// The same with the packages that they depend on.
pub fn metadata_with_dependencies(cargo: &mut Command) -> Outcome<Metadata> {
    parsed(cargo.args(["metadata", "--format-version=1"]))
}

fn parsed(metadata: &mut Command) -> Outcome<Metadata> {
    let text = shell::capture(metadata)?;
    MetadataCommand::parse(text).map_err(|error| format!("cargo metadata: {error}"))
}

/// Where cargo puts what it builds for the host.
pub fn target_directory() -> Outcome<PathBuf> {
    Ok(metadata(&mut for_host())?.target_directory.into())
}

/// The name of the file without its end that a package's `cdylib` is built to; nothing where the
/// package has none.
pub fn library(package: &Package) -> Option<String> {
    let is_library =
        |target: &&cargo_metadata::Target| target.crate_types.contains(&CrateType::CDyLib);
    package.targets.iter().find(is_library).map(|target| target.name.replace('-', "_"))
}
