//! The programs that the tests and benches need, most of them mail programs: Debian's packages,
//! unpacked into `target/peers/<package>` without being installed, with a script for each program
//! in `target/peers/bin` that sets the library path.
//!
//! No program keeps a set-user-id bit.
//!
//! The tests bring their own configuration: Postfix runs from there as root, with an existing
//! unprivileged user as `mail_owner`, an existing group as `setgid_group`, `daemon_directory`,
//! `command_directory` and `shlib_directory` pointing into `target/peers/postfix`, and
//! `LD_LIBRARY_PATH` in `import_environment` (master clears the rest).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::Apt;
use crate::prerequisites;
use crate::shell::{self, Outcome};
use crate::toolchain::multiarch;

/// Stands in the marker of a complete peer. To be changed when what is below changes: older ones
/// are redone.
const RECIPE: &str = "peer, recipe 2\n";

/// A package with programs that the tests run.
struct Peer {
    package: &'static str,
    /// Below the package's folder; each gets a script of its name.
    programs: &'static [&'static str],
    /// What the programs find in their environment: a name, and a path below the package's folder.
    environment: Option<(&'static str, &'static str)>,
    /// One of the programs with arguments that make it load its libraries and end at once; empty
    /// where none does.
    probe: &'static [&'static str],
}

/// What the tests need.
const PEERS: [Peer; 6] = [
    Peer {
        package: "postfix",
        programs: &[
            "usr/sbin/postconf",
            "usr/sbin/postfix",
            "usr/sbin/postmap",
            "usr/sbin/postqueue",
            "usr/sbin/postsuper",
            "usr/sbin/smtp-sink",
            "usr/sbin/smtp-source",
            "usr/lib/postfix/sbin/master",
        ],
        environment: None,
        probe: &["postconf", "-d", "mail_version"],
    },
    Peer {
        package: "swaks",
        programs: &["usr/bin/swaks"],
        environment: None,
        probe: &["swaks", "--version"],
    },
    // Its signatures are the test's own: none are downloaded.
    Peer {
        package: "clamav-daemon",
        programs: &["usr/sbin/clamd"],
        environment: None,
        probe: &["clamd", "--config-file=/dev/null", "--version"],
    },
    // Its libraries are in a folder of their own, which the tests name.
    Peer {
        package: "dovecot-core",
        programs: &["usr/sbin/dovecot", "usr/bin/doveconf"],
        environment: None,
        probe: &[],
    },
    // The tests run in a network namespace of their own and bring its loopback up.
    Peer {
        package: "iproute2",
        programs: &["bin/ip"],
        environment: None,
        probe: &["ip", "-Version"],
    },
    // Counts instructions. Without the shell script around it, which is for those who have it
    // installed.
    Peer {
        package: "valgrind",
        programs: &["usr/bin/valgrind.bin"],
        environment: Some(("VALGRIND_LIB", "usr/libexec/valgrind")),
        probe: &["valgrind.bin", "--version"],
    },
];

/// What `cargo xtask bench --peers` measures besides. Haraka comes from npm.
const MORE_PEERS: [Peer; 1] = [
    // It says nothing where its user isn't there.
    Peer {
        package: "exim4-daemon-light",
        programs: &["usr/sbin/exim4"],
        environment: None,
        probe: &[],
    },
];

/// What is installed by npm into `target/peers/haraka`.
const HARAKA: &str = "Haraka@3.3.4";

/// Fetches what is missing of what the tests need.
pub fn fetch() -> Outcome {
    prerequisites::to_test()?;
    fetch_all(&PEERS)
}

/// Fetches what is missing of what only benches need.
pub fn fetch_more() -> Outcome {
    fetch_all(&MORE_PEERS)?;
    let folder = folder().join("haraka");
    let marker = folder.join("complete");
    if fs::read_to_string(&marker).is_ok_and(|marker| marker == HARAKA) {
        return Ok(());
    }
    if shell::find_program("npm").is_none() {
        return Err("npm is missing; Haraka comes from there: apt-get install npm".into());
    }
    shell::step(&format!("npm install {HARAKA}"), || {
        shell::remove_directory(&folder)?;
        shell::create_directory(&folder)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--omit=optional", "--prefix"])
            .arg(&folder)
            .arg(HARAKA);
        shell::progress("npm install", || shell::capture(&mut npm))?;
        shell::write_file(&marker, HARAKA)
    })
}

/// Where all of them are.
fn folder() -> PathBuf {
    shell::root().join("target/peers")
}

fn fetch_all(peers: &[Peer]) -> Outcome {
    let folder = folder();
    shell::create_directory(&folder.join("bin"))?;
    let missing: Vec<&Peer> = peers.iter().filter(|peer| !peer.is_complete(&folder)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    shell::step("fetch other mail programs", || {
        let apt = Apt::update()?;
        missing.iter().try_for_each(|peer| peer.make(&apt, &folder))
    })
}

impl Peer {
    fn marker(&self, folder: &Path) -> PathBuf {
        folder.join(self.package).join("complete")
    }

    fn is_complete(&self, folder: &Path) -> bool {
        fs::read_to_string(self.marker(folder)).is_ok_and(|marker| marker == RECIPE)
    }

    fn make(&self, apt: &Apt, folder: &Path) -> Outcome {
        let own = folder.join(self.package);
        apt.unpack(&[self.package], &own)?;
        if self.lacks_libraries(&own) {
            let libraries = apt.libraries(self.package)?;
            let packages: Vec<&str> =
                [self.package].into_iter().chain(libraries.iter().map(String::as_str)).collect();
            apt.unpack(&packages, &own)?;
        }
        for program in self.programs {
            let name = Path::new(program).file_name().unwrap_or_default();
            let environment = match self.environment {
                Some((name, path)) => format!("export {name}=\"$peer/{path}\"\n"),
                None => String::new(),
            };
            let script = format!(
                "#!/bin/sh\n\
                 peer=$(cd \"$(dirname \"$0\")/../{}\" && pwd)\n\
                 {environment}\
                 LD_LIBRARY_PATH={}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} \
                 exec \"$peer/{program}\" \"$@\"\n",
                self.package,
                self.library_path(Path::new("$peer")),
            );
            shell::write_script(&folder.join("bin").join(name), &script)?;
            shell::make_executable(&own.join(program))?;
        }
        if let [program, arguments @ ..] = self.probe {
            let answer =
                shell::capture(Command::new(folder.join("bin").join(program)).args(arguments))?;
            eprintln!("    {}: {}", self.package, answer.lines().next().unwrap_or_default().trim());
        }
        shell::write_file(&self.marker(folder), RECIPE)
    }

    /// Whether a program of the package needs a library that is neither in it nor on this machine.
    fn lacks_libraries(&self, own: &Path) -> bool {
        self.programs.iter().any(|program| {
            let mut ldd = Command::new("ldd");
            ldd.arg(own.join(program))
                .env("LD_LIBRARY_PATH", self.library_path(own))
                .env("LC_ALL", "C");
            // Scripts aren't dynamic executables, for which ldd fails.
            shell::capture(&mut ldd).unwrap_or_default().contains("not found")
        })
    }

    fn library_path(&self, own: &Path) -> String {
        let multiarch = multiarch(env::consts::ARCH);
        let folders = [
            format!("usr/lib/{}", self.package),
            format!("usr/lib/{multiarch}"),
            format!("lib/{multiarch}"),
        ];
        folders.map(|folder| own.join(folder).display().to_string()).join(":")
    }
}
