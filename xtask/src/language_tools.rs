//! The tools that build plugins in other languages than Rust: from PyPI and npm into
//! `target/tools`, at the versions and with the hashes that `tests/languages/tools` names.
//!
//! Nothing is fetched as long as that folder stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::prerequisites;
use crate::shell::{self, Outcome};

/// The tools, installed.
pub struct LanguageTools {
    python: PathBuf,
    node: PathBuf,
}

impl LanguageTools {
    /// Installs what is missing.
    pub fn install() -> Outcome<Self> {
        prerequisites::to_build_languages()?;
        let wanted = shell::root().join("tests/languages/tools");
        let tools = shell::root().join("target/tools");
        let (python, node) = (tools.join("python"), tools.join("node"));

        let requirements = wanted.join("requirements.txt");
        once(&python, &requirements, || {
            let mut pip = Command::new("pip3");
            pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]);
            pip.args(["--only-binary=:all:", "--require-hashes", "--requirement"]);
            pip.arg(&requirements).arg("--target").arg(&python);
            shell::progress("pip3 install", || shell::capture(&mut pip).map(drop))
        })?;
        let lock = wanted.join("package-lock.json");
        once(&node, &lock, || {
            for file in ["package.json", "package-lock.json"] {
                shell::copy(&wanted.join(file), &node.join(file))?;
            }
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&node);
            shell::progress("npm ci", || shell::capture(&mut npm).map(drop))
        })?;
        Ok(Self { python, node })
    }

    /// A program that came from PyPI.
    pub fn python(&self, program: &str) -> Command {
        let mut command = Command::new(self.python.join("bin").join(program));
        command.env("PYTHONPATH", &self.python);
        command
    }

    /// A program that came from npm.
    pub fn node(&self, program: &str) -> Command {
        Command::new(self.node.join("node_modules/.bin").join(program))
    }
}

/// Fills a folder, unless that was done already by the same list.
fn once(folder: &Path, list: &Path, fill: impl FnOnce() -> Outcome) -> Outcome {
    let wanted = shell::read(list)?;
    let marker = folder.join("complete");
    if fs::read(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    shell::step(&format!("install tools into target/tools/{name}"), || {
        shell::remove_directory(folder)?;
        shell::create_directory(folder)?;
        fill()?;
        shell::write_file(&marker, &wanted)
    })
}
