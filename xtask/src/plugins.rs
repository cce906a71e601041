//! Guests: the plugins that ship with facteur and the hostile ones of the tests, built to
//! components.
//!
//! A guest is a folder of a guest workspace whose package bears the folder's name and makes a
//! `cdylib`; folders without one are crates that guests share.

use std::fs;
use std::path::{Path, PathBuf};

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
        let names = guests_in(&workspace)?;
        let target_directory = target_directory();
        let mut cargo = toolchain.cargo();
        cargo.current_dir(&workspace).env("CARGO_TARGET_DIR", &target_directory);
        shell::run(cargo.args(["build", "--release", "--target", TARGET]))?;

        let output = shell::root().join(self.output);
        shell::create_directory(&output)?;
        let built = target_directory.join(TARGET).join("release");
        for name in &names {
            let from = built.join(format!("{}.wasm", name.replace('-', "_")));
            let version =
                version(&shell::capture(toolchain.cargo().current_dir(&workspace).args([
                    "pkgid",
                    "--package",
                    name,
                ]))?);
            install(&from, &output.join(format!("{name}.wasm")), &version)?;
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
    let text = fs::read_to_string(&manifest).map_err(|error| {
        format!(
            "{}: {error}\nname a plugin's folder, such as a copy of plugin-sdk/rust/template",
            manifest.display()
        )
    })?;
    if !text.contains("\"cdylib\"") {
        return Err(format!(
            "{}: a plugin needs crate-type = [\"cdylib\"] under [lib]",
            manifest.display()
        ));
    }
    let manifest =
        manifest.canonicalize().map_err(|error| format!("{}: {error}", manifest.display()))?;
    let cargo = |command: &str| {
        let mut cargo = toolchain.cargo();
        cargo
            .env("CARGO_TARGET_DIR", target_directory())
            .arg(command)
            .arg("--manifest-path")
            .arg(&manifest);
        cargo
    };
    shell::step(&format!("build {}", folder.display()), || {
        shell::run(cargo("build").args(["--release", "--target", TARGET]))
    })?;
    let id = shell::capture(&mut cargo("pkgid"))?;
    let name = package_name(&id);
    let built = target_directory()
        .join(TARGET)
        .join("release")
        .join(format!("{}.wasm", name.replace('-', "_")));
    let output =
        PathBuf::from(format!("{}.wasm", folder.display().to_string().trim_end_matches('/')));
    install(&built, &output, &version(&id))?;
    println!("{}", output.display());
    Ok(())
}

/// The name in what `cargo pkgid` prints: `path+file:///folder/name#0.1.0`, or
/// `…/folder#name@0.1.0` where the two differ.
fn package_name(id: &str) -> String {
    let (place, version) = id.trim().rsplit_once('#').unwrap_or((id.trim(), ""));
    match version.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => place.rsplit('/').next().unwrap_or(place).to_owned(),
    }
}

/// The version in what `cargo pkgid` prints.
fn version(id: &str) -> String {
    let end = id.trim().rsplit_once('#').map_or("", |(_, end)| end);
    end.rsplit_once('@').map_or(end, |(_, version)| version).to_owned()
}

/// The custom section that says which version a component is, as `wasm-tools metadata add --version`
/// writes it.
fn version_section(version: &str) -> Vec<u8> {
    const NAME: &str = "version";
    // Both lengths take one byte of LEB128: a version has fewer than a hundred characters.
    let version: String = version.chars().filter(char::is_ascii).take(100).collect();
    let size = 1 + NAME.len() + version.len();
    let mut section = vec![
        0,
        u8::try_from(size).unwrap_or_default(),
        u8::try_from(NAME.len()).unwrap_or_default(),
    ];
    section.extend(NAME.bytes().chain(version.bytes()));
    section
}

/// The names of the guests of a workspace, sorted.
fn guests_in(workspace: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for folder in shell::list_directory(workspace)? {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("\"cdylib\"") {
            names.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    if names.is_empty() {
        return Err(format!("{} has no crate of type cdylib", workspace.display()));
    }
    Ok(names)
}

fn install(from: &Path, to: &Path, version: &str) -> Outcome {
    let mut component = fs::read(from).map_err(|error| {
        format!(
            "{}: {error}\na guest's package must bear its folder's name and be a workspace member",
            from.display()
        )
    })?;
    if !component.starts_with(COMPONENT) {
        return Err(format!(
            "{} is not a component: was it linked by another linker?",
            from.display()
        ));
    }
    component.extend(version_section(version));
    if fs::read(to).is_ok_and(|installed| installed == component) {
        return Ok(());
    }
    eprintln!("    {} ({} KiB)", to.display(), component.len().div_ceil(1024));
    shell::write_file(to, component)
}

/// Removes the components of guests that are no more.
fn remove_others(output: &Path, names: &[String]) -> Outcome {
    for file in shell::list_directory(output)? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        if !names.iter().any(|known| *known == name) {
            fs::remove_file(&file)
                .map_err(|error| format!("can't remove {}: {error}", file.display()))?;
        }
    }
    Ok(())
}
