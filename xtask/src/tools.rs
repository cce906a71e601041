//! Cargo subcommands that the checks need: the one on `PATH`, else one installed into
//! `target/tools`.

use std::path::PathBuf;

use crate::cargo;
use crate::shell::{self, Outcome};

/// A cargo subcommand.
pub struct Tool {
    /// The name of the crate and of the program.
    name: &'static str,
    /// What is installed where it is missing; builds with the compiler that facteur needs.
    version: &'static str,
}

/// Checks licences, bans and sources of the dependencies.
pub const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// Builds and runs fuzz targets.
pub const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    /// The program, installed if need be.
    pub fn program(&self) -> Outcome<PathBuf> {
        if let Some(found) = shell::find_program(self.name) {
            return Ok(found);
        }
        let folder = shell::root().join("target/tools");
        let installed = folder.join("bin").join(self.name);
        if !installed.is_file() {
            shell::step(
                &format!("install {} {} into target/tools", self.name, self.version),
                || {
                    // Unoptimised: it is built in half the time and runs for seconds.
                    let mut cargo = cargo::for_guests();
                    cargo.args([
                        "install",
                        self.name,
                        "--version",
                        self.version,
                        "--locked",
                        "--debug",
                        "--root",
                    ]);
                    cargo
                        .arg(&folder)
                        .env("CARGO_TARGET_DIR", folder.join("build"))
                        .env("CARGO_PROFILE_DEV_DEBUG", "0");
                    shell::run(&mut cargo)
                },
            )?;
            shell::remove_directory(&folder.join("build"))?;
        }
        Ok(installed)
    }
}
