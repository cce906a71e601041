//! Guests: the plugins that ship with facteur and the hostile ones of the tests, built to
//! components.
//!
//! A guest is a package of a guest workspace that makes a `cdylib`; packages without one are what
//! guests share.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::Package;
use wasm_encoder::{ComponentSection, CustomSection};

use crate::cargo;
use crate::shell::{self, Outcome};
use crate::toolchain::{TARGET, Toolchain};

/// The first bytes of a component: magic number, version 13, layer 1.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A workspace of guests.
pub struct Guests {
    /// The workspace, below the repository.
    pub workspace: &'static str,
    /// Where the components go, below the repository: `<guest>.wasm`.
    output: &'static str,
}

/// Every workspace of guests.
pub const GUESTS: [Guests; 2] = [
    Guests { workspace: "plugins", output: "target/plugins" },
    Guests { workspace: "tests/hostile", output: "target/hostile" },
];

/// Where cargo builds guests, and their unit tests for the host: one folder, so that what they
/// share is built once.
pub fn target_directory() -> PathBuf {
    shell::root().join("target/plugins-build")
}

impl Guests {
    fn build(&self, toolchain: &Toolchain) -> Outcome {
        let workspace = shell::root().join(self.workspace);
        let target_directory = target_directory();
        let mut cargo = toolchain.cargo();
        cargo.current_dir(&workspace).env("CARGO_TARGET_DIR", &target_directory);
        shell::run(cargo.args(["build", "--release", "--target", TARGET]))?;

        let output = shell::root().join(self.output);
        shell::create_directory(&output)?;
        let built = target_directory.join(TARGET).join("release");
        let mut names = Vec::new();
        let known = cargo::metadata(toolchain.cargo().current_dir(&workspace))?;
        for package in &known.packages {
            let Some(library) = cargo::library(package) else { continue };
            let to = output.join(format!("{}.wasm", package.name));
            install(&built.join(library).with_extension("wasm"), &to, package)?;
            names.push(package.name.as_str());
        }
        if names.is_empty() {
            return Err(format!("{} has no crate of type cdylib", workspace.display()));
        }
        remove_others(&output, &names)
    }
}

/// Builds all guests. A component that came out as it was is not touched, so that what embeds it
/// isn't built again.
pub fn build(toolchain: &Toolchain) -> Outcome {
    for guests in &GUESTS {
        shell::step(&format!("build {}", guests.workspace), || guests.build(toolchain))?;
    }
    Ok(())
}

/// Builds the plugin whose crate is in `folder` to `<folder>.wasm`, and prints where that is.
pub fn build_one(toolchain: &Toolchain, folder: &Path) -> Outcome {
    let manifest = folder.join("Cargo.toml");
    let manifest = manifest.canonicalize().map_err(|error| {
        format!(
            "{}: {error}\nname a plugin's folder, such as a copy of plugin-sdk/rust/template",
            manifest.display()
        )
    })?;
    let mut cargo = toolchain.cargo();
    let known = cargo::metadata(cargo.current_dir(folder))?;
    let package = known.packages.iter().find(|package| package.manifest_path == manifest);
    let library = package.and_then(|package| Some((package, cargo::library(package)?)));
    let Some((package, library)) = library else {
        return Err(format!(
            "{}: a plugin needs crate-type = [\"cdylib\"] under [lib]",
            manifest.display()
        ));
    };
    let target_directory = target_directory();
    shell::step(&format!("build {}", folder.display()), || {
        let mut cargo = toolchain.cargo();
        cargo.env("CARGO_TARGET_DIR", &target_directory);
        cargo.args(["build", "--release", "--target", TARGET, "--manifest-path"]);
        shell::run(cargo.arg(&manifest))
    })?;
    let built = target_directory.join(TARGET).join("release").join(library);
    let output =
        PathBuf::from(format!("{}.wasm", folder.display().to_string().trim_end_matches('/')));
    install(&built.with_extension("wasm"), &output, package)?;
    shell::print(&format!("{}\n", output.display()))
}

/// Copies a component to where it belongs, and puts its version into it, as `wasm-tools metadata add
/// --version` does.
fn install(from: &Path, to: &Path, package: &Package) -> Outcome {
    let mut component = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    if !component.starts_with(COMPONENT) {
        return Err(format!(
            "{} is not a component: was it linked by another linker?",
            from.display()
        ));
    }
    let version = package.version.to_string();
    CustomSection { name: "version".into(), data: version.as_bytes().into() }
        .append_to_component(&mut component);
    if fs::read(to).is_ok_and(|installed| installed == component) {
        return Ok(());
    }
    eprintln!("    {} ({} KiB)", to.display(), component.len().div_ceil(1024));
    shell::write_file(to, component)
}

/// Removes the components of guests that are no more.
fn remove_others(output: &Path, names: &[&str]) -> Outcome {
    for file in shell::list_directory(output)? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        if !names.iter().any(|known| *known == name) {
            fs::remove_file(&file)
                .map_err(|error| format!("can't remove {}: {error}", file.display()))?;
        }
    }
    Ok(())
}
