//! The tool chain that builds guests: rustc's WebAssembly target and the linker that makes
//! components.
//!
//! Where the tool chain in use has the target or rustup can add it, that is all. Where not,
//! Debian's rustc, built from the same sources, is unpacked into `target/toolchain` and its
//! standard library compiled for the target; cargo and the linker stay rustup's. Either way plain
//! `cargo build` yields a component.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::Apt;
use crate::cargo;
use crate::prerequisites;
use crate::shell::{self, Outcome};

/// What guests are compiled for: no WASI, so that a component imports nothing but the interfaces it
/// names.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Links a core module and wraps it into a component.
const LINKER: &str = "wasm-component-ld";

/// What the linker is told. A small stack below the data makes for a small initial memory, so that
/// a fresh sandbox touches few pages; lld reports an overflow as a trap because the stack comes
/// first.
const LINK_ARGUMENTS: [&str; 2] = ["-zstack-size=32768", "--stack-first"];

/// Stands in the marker of a complete set-up. To be changed when the recipe below changes: older
/// ones are redone.
const RECIPE: &str = "Debian's rustc-web with std for wasm32-unknown-unknown, recipe 1\n";

/// A tool chain that can build guests.
pub struct Toolchain {
    /// The compiler, where it isn't the one cargo takes by itself.
    rustc: Option<PathBuf>,
}

impl Toolchain {
    /// A cargo that builds guests; the caller says what, in which folder, to which target folder.
    pub fn cargo(&self) -> Command {
        let mut command = cargo::for_guests();
        let variable =
            |what: &str| format!("CARGO_TARGET_{}_{what}", TARGET.to_uppercase().replace('-', "_"));
        let flags = LINK_ARGUMENTS.map(|argument| format!("-Clink-arg={argument}")).join(" ");
        command.env(variable("LINKER"), LINKER).env(variable("RUSTFLAGS"), flags);
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        command
    }
}

/// Finds a tool chain for guests, or makes one.
pub fn set_up() -> Outcome<Toolchain> {
    prerequisites::to_build()?;
    let rustup = Compiler::of_cargo()?;
    let debian = Debian { folder: shell::root().join("target/toolchain/debian"), rustup: &rustup };
    let wanted = env::var("FACTEUR_GUEST_STD").unwrap_or_default();
    if !matches!(wanted.as_str(), "" | "debian") {
        return Err(format!("FACTEUR_GUEST_STD={wanted}: only `debian` is known"));
    }
    if wanted.is_empty() && Compiler::has_target()? {
        return Ok(Toolchain { rustc: None });
    }
    if !debian.is_complete() {
        let mut refusal = String::new();
        if wanted.is_empty() {
            match Compiler::add_target() {
                Ok(()) => return Ok(Toolchain { rustc: None }),
                Err(error) => {
                    refusal = format!(
                        "\n\nthe simple mend, rustup target add {TARGET}, failed too: {error}"
                    );
                }
            }
        }
        shell::step("set up Debian's rustc for plugins", || debian.make())
            .map_err(|error| format!("{error}{refusal}"))?;
    }
    debian.link_tools()?;
    Ok(Toolchain { rustc: Some(debian.wrapper()) })
}

/// The compiler that cargo takes by itself.
struct Compiler {
    /// `x86_64-unknown-linux-gnu` and the like.
    host: String,
    /// The folder with the linkers: `<sysroot>/lib/rustlib/<host>/bin`.
    tools: PathBuf,
}

impl Compiler {
    fn of_cargo() -> Outcome<Self> {
        let version = shell::capture(Command::new("rustc").arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or("`rustc -vV` doesn't name its host")?.to_owned();
        let sysroot = shell::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
        let tools = Path::new(sysroot.trim()).join("lib/rustlib").join(&host).join("bin");
        if !tools.join(LINKER).is_file() {
            return Err(format!(
                "{} is missing: plugins need a tool chain of rustup's, which brings it\n\n  curl \
                 --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
                tools.join(LINKER).display()
            ));
        }
        Ok(Self { host, tools })
    }

    /// Whether it has the standard library for guests.
    fn has_target() -> Outcome<bool> {
        let folder = shell::capture(Command::new("rustc").args([
            "--print",
            "target-libdir",
            "--target",
            TARGET,
        ]))?;
        let folder = Path::new(folder.trim());
        Ok(folder.is_dir()
            && shell::list_directory(folder)?.iter().any(|file| is_library(file, "libcore-")))
    }

    fn add_target() -> Outcome {
        if shell::find_program("rustup").is_none() {
            return Err("there is no rustup here".into());
        }
        shell::progress(&format!("rustup target add {TARGET}"), || {
            shell::capture(
                Command::new("rustup").args(["target", "add", TARGET]).env("RUST_BACKTRACE", "0"),
            )
        })?;
        if Self::has_target()? {
            Ok(())
        } else {
            Err("it succeeded, but rustc still lacks the target".into())
        }
    }
}

/// Debian's compiler in a folder of its own.
struct Debian<'a> {
    folder: PathBuf,
    rustup: &'a Compiler,
}

impl Debian<'_> {
    fn is_complete(&self) -> bool {
        fs::read_to_string(self.marker()).is_ok_and(|marker| marker == RECIPE)
    }

    fn make(&self) -> Outcome {
        let apt = Apt::update()?;
        // The names bear versions: rustc-web → libstd-rust-web-dev → libstd-rust-web-1.96 →
        // libllvm22.
        let library = dependency(&apt, "libstd-rust-web-dev", "libstd-rust-web-")?;
        let llvm = dependency(&apt, &library, "libllvm")?;
        let packages = ["rustc-web", "rust-web-src", "libstd-rust-web-dev", &library, &llvm];
        apt.unpack(&packages, &self.folder)?;
        self.write_wrapper()?;
        self.build_library()?;
        for unneeded in ["usr/src", "usr/share", "std"] {
            shell::remove_directory(&self.folder.join(unneeded))?;
        }
        shell::write_file(&self.marker(), RECIPE)
    }

    fn marker(&self) -> PathBuf {
        self.folder.join("complete")
    }

    /// What cargo runs as `RUSTC`.
    fn wrapper(&self) -> PathBuf {
        self.folder.join("rustc")
    }

    fn write_wrapper(&self) -> Outcome {
        let libraries = format!("$here/usr/lib/{}", multiarch(&self.rustup.host));
        let script = format!(
            "#!/bin/sh\n\
             # Debian's rustc, from where it was unpacked; cargo calls this by its full path.\n\
             here=${{0%/*}}\n\
             LD_LIBRARY_PATH={libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} \
             exec \"$here/usr/bin/rustc\" \"$@\"\n"
        );
        shell::write_script(&self.wrapper(), &script)
    }

    /// Compiles the standard library for the target, from Debian's sources, and puts it where rustc
    /// looks for it.
    fn build_library(&self) -> Outcome {
        // Cargo builds the standard library only along with a crate: an empty one.
        let crate_folder = self.folder.join("std");
        shell::create_directory(&crate_folder.join("src"))?;
        shell::write_file(&crate_folder.join("src/lib.rs"), "#![no_std]\n")?;
        shell::write_file(
            &crate_folder.join("Cargo.toml"),
            "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
        )?;
        let output = crate_folder.join("target");
        let mut cargo = cargo::for_guests();
        cargo.current_dir(&crate_folder).args(["build", "--release", "--target", TARGET]);
        // Cargo's -Z options are for nightly tool chains or the brave; the flag keeps guests'
        // link-time optimisation able to look into the library.
        cargo
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes");
        shell::run(cargo.env("RUSTC", self.wrapper()).env("CARGO_TARGET_DIR", &output))?;

        let library = self.folder.join("usr/lib/rustlib").join(TARGET).join("lib");
        shell::create_directory(&library)?;
        for file in shell::list_directory(&output.join(TARGET).join("release/deps"))? {
            if is_library(&file, "lib") && !is_library(&file, "libempty-") {
                let copy = library.join(file.file_name().unwrap_or_default());
                fs::rename(&file, &copy)
                    .map_err(|error| format!("can't move {}: {error}", file.display()))?;
            }
        }
        Ok(())
    }

    /// Debian's rustc looks for linkers in its own sysroot: there it finds those of the tool chain
    /// now in use.
    fn link_tools(&self) -> Outcome {
        let link = self.folder.join("usr/lib/rustlib").join(&self.rustup.host).join("bin");
        if fs::read_link(&link).is_ok_and(|target| target == self.rustup.tools) {
            return Ok(());
        }
        // What may be there is an older link.
        fs::remove_file(&link).ok();
        symlink(&self.rustup.tools, &link)
            .map_err(|error| format!("can't link {}: {error}", link.display()))
    }
}

/// The one dependency of `package` whose name begins so.
fn dependency(apt: &Apt, package: &str, prefix: &str) -> Outcome<String> {
    let names = apt.dependencies(package)?;
    let name = names.into_iter().find(|name| name.starts_with(prefix));
    name.ok_or_else(|| {
        format!(
            "Debian's {package} no longer depends on a {prefix}…: the packages were arranged anew"
        )
    })
}

/// Debian's name of the folder for an architecture's libraries.
pub fn multiarch(host: &str) -> String {
    let architecture = host.split('-').next().unwrap_or(host);
    format!("{architecture}-linux-gnu")
}

fn is_library(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(prefix) && path.extension().is_some_and(|extension| extension == "rlib")
}
