//! Debian packages without installing them: downloaded and unpacked into a folder, as any user.
//!
//! The package lists are our own, under `target/apt`: the machine's may be missing or too old to
//! download from, and only root may renew them. Nothing outside `target/` is written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{self, Outcome};

/// Fresh package lists.
pub struct Apt {
    state: PathBuf,
}

impl Apt {
    /// Fetches the lists.
    pub fn update() -> Outcome<Self> {
        for program in ["apt-get", "apt-cache", "dpkg"] {
            if shell::find_program(program).is_none() {
                return Err(format!(
                    "{program} is missing: this set-up is for Debian and its relatives"
                ));
            }
        }
        let apt = Self { state: shell::root().join("target/apt") };
        shell::create_directory(&apt.state.join("lists/partial"))?;
        shell::create_directory(&apt.state.join("cache/archives/partial"))?;
        shell::progress("apt-get update (into target/apt)", || {
            shell::capture(apt.command("apt-get").arg("update"))
        })
        .map_err(|error| format!("{error}\ncheck the network and /etc/apt/sources.list"))?;
        Ok(apt)
    }

    /// Downloads the packages and unpacks them all into `folder`, which is made anew.
    pub fn unpack(&self, packages: &[&str], folder: &Path) -> Outcome {
        let archives = self.state.join("download");
        shell::remove_directory(&archives)?;
        shell::create_directory(&archives)?;
        shell::remove_directory(folder)?;
        shell::create_directory(folder)?;
        shell::progress(&format!("apt-get download {}", packages.join(" ")), || {
            shell::capture(
                self.command("apt-get").current_dir(&archives).arg("download").args(packages),
            )
        })?;
        for archive in shell::list_directory(&archives)? {
            let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
            shell::progress(&format!("unpack {name}"), || {
                shell::capture(Command::new("dpkg").arg("-x").arg(&archive).arg(folder))
            })?;
        }
        shell::remove_directory(&archives)
    }

    /// The packages that this one depends on directly.
    pub fn dependencies(&self, package: &str) -> Outcome<Vec<String>> {
        let listing = shell::capture(self.command("apt-cache").args(["depends", package]))?;
        Ok(depends(&listing))
    }

    /// The library packages that a program of this package needs at run time, however deep. Not the
    /// C library: two of it can't live in one process, and every machine has one.
    pub fn libraries(&self, package: &str) -> Outcome<Vec<String>> {
        let mut found = BTreeSet::new();
        let mut open = vec![package.to_owned()];
        while let Some(package) = open.pop() {
            for name in self.dependencies(&package)? {
                if name.starts_with("lib") && name != "libc6" && found.insert(name.clone()) {
                    open.push(name);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        for (option, folder) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            command.arg("-o").arg(format!("{option}={}", self.state.join(folder).display()));
        }
        // As root apt would fetch as the user _apt, who may not be able to write here.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command
    }
}

/// The names after `Depends:`; the first of alternatives (`|Depends:`), no virtual packages
/// (`<name>`).
fn depends(listing: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut alternative = false;
    for line in listing.lines().map(str::trim) {
        let (first, name) = match (line.strip_prefix("|Depends: "), line.strip_prefix("Depends: "))
        {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            _ => continue,
        };
        if !alternative && !name.starts_with('<') {
            names.push(name.to_owned());
        }
        alternative = first;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::depends;

    #[test]
    fn dependencies_are_read_from_the_listing() {
        let listing = "postfix\n  PreDepends: init\n |Depends: debconf\n  Depends: \
         <debconf-2.0>\n    cdebconf\n  \
                       Depends: libdb5.3\n  Depends: <libc-dev>\n    libc6-dev\n  Recommends: \
                       ssl-cert\n";
        assert_eq!(depends(listing), ["debconf", "libdb5.3"]);
    }
}
