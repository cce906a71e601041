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
const RECIPE: &str = "peer, recipe 3\n";

/// A package with programs that the tests run.
struct Peer {
    package: &'static str,
    /// Packages that it finds things of at run time, beyond its libraries.
    with: &'static [&'static str],
    /// Below the package's folder; each gets a script of its name.
    programs: &'static [&'static str],
    /// What the programs find in their environment: a name, and a path below the package's folder,
    /// where `{multiarch}` is the machine's kind.
    environment: Option<(&'static str, &'static str)>,
    /// One of the programs with arguments that make it load its libraries and end at once; empty
    /// where none does.
    probe: &'static [&'static str],
}

/// What the tests need.
const PEERS: [Peer; 11] = [
    Peer {
        package: "postfix",
        // By which it logs in elsewhere: the tests say where they are.
        with: &["libsasl2-modules"],
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
        // Without it there is no TLS. The path is Debian 12's Perl's own.
        with: &["libnet-ssleay-perl"],
        programs: &["usr/bin/swaks"],
        environment: Some(("PERL5LIB", "usr/lib/{multiarch}/perl5/5.36")),
        probe: &["swaks", "--version"],
    },
    // Its signatures are the test's own: none are downloaded.
    Peer {
        package: "clamav-daemon",
        with: &[],
        programs: &["usr/sbin/clamd"],
        environment: None,
        probe: &["clamd", "--config-file=/dev/null", "--version"],
    },
    // Its libraries are in a folder of their own, which the tests name.
    Peer {
        package: "dovecot-core",
        with: &[],
        programs: &["usr/sbin/dovecot", "usr/bin/doveconf"],
        environment: None,
        probe: &[],
    },
    // It stands in front with the PROXY protocol.
    Peer {
        package: "haproxy",
        with: &[],
        programs: &["usr/sbin/haproxy"],
        environment: None,
        probe: &["haproxy", "-v"],
    },
    // The tests run in a network namespace of their own and bring its loopback up.
    Peer {
        package: "iproute2",
        with: &[],
        programs: &["bin/ip"],
        environment: None,
        probe: &["ip", "-Version"],
    },
    // It says nothing where its user isn't there.
    Peer {
        package: "exim4-daemon-light",
        with: &[],
        programs: &["usr/sbin/exim4"],
        environment: None,
        probe: &[],
    },
    Peer {
        package: "msmtp",
        with: &[],
        programs: &["usr/bin/msmtp"],
        environment: None,
        probe: &["msmtp", "--version"],
    },
    Peer {
        package: "s-nail",
        with: &[],
        programs: &["usr/bin/s-nail"],
        environment: None,
        probe: &["s-nail", "--version"],
    },
    // Of it only the program that tries a filter on a log.
    Peer {
        package: "fail2ban",
        with: &[],
        programs: &["usr/bin/fail2ban-regex"],
        environment: Some(("PYTHONPATH", "usr/lib/python3/dist-packages")),
        probe: &["fail2ban-regex", "--version"],
    },
    // Counts instructions. Without the shell script around it, which is for those who have it
    // installed.
    Peer {
        package: "valgrind",
        with: &[],
        programs: &["usr/bin/valgrind.bin"],
        environment: Some(("VALGRIND_LIB", "usr/libexec/valgrind")),
        probe: &["valgrind.bin", "--version"],
    },
];

/// A package of npm, installed with all that it needs.
struct Module {
    name: &'static str,
    version: &'static str,
}

/// What the tests need.
const NODEMAILER: Module = Module { name: "nodemailer", version: "10.6.1" };
/// What `cargo xtask bench --peers` measures besides.
const HARAKA: Module = Module { name: "Haraka", version: "3.3.4" };

/// Fetches what is missing of what the tests need.
pub fn fetch() -> Outcome {
    prerequisites::to_test()?;
    fetch_all(&PEERS)?;
    NODEMAILER.fetch()
}

/// Fetches what is missing of what only benches need.
pub fn fetch_more() -> Outcome {
    HARAKA.fetch()
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

impl Module {
    /// Installs it into `target/peers/NAME`, in lower case, if it isn't there.
    fn fetch(&self) -> Outcome {
        let package = format!("{}@{}", self.name, self.version);
        let folder = folder().join(self.name.to_ascii_lowercase());
        let marker = folder.join("complete");
        if fs::read_to_string(&marker).is_ok_and(|marker| marker == package) {
            return Ok(());
        }
        shell::step(&format!("npm install {package}"), || {
            shell::remove_directory(&folder)?;
            shell::create_directory(&folder)?;
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--omit=optional", "--prefix"]);
            npm.arg(&folder).arg(&package);
            shell::progress("npm install", || shell::capture(&mut npm))?;
            shell::write_file(&marker, &package)
        })
    }
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
        let wanted = [&[self.package][..], self.with].concat();
        apt.unpack(&wanted, &own)?;
        if self.lacks_libraries(&own) {
            let libraries = apt.libraries(self.package)?;
            let libraries = libraries.iter().map(String::as_str);
            apt.unpack(&wanted.into_iter().chain(libraries).collect::<Vec<_>>(), &own)?;
        }
        for program in self.programs {
            let name = Path::new(program).file_name().unwrap_or_default();
            let environment = match self.environment {
                Some((name, path)) => {
                    let path = path.replace("{multiarch}", &multiarch(env::consts::ARCH));
                    format!("export {name}=\"$peer/{path}\"\n")
                }
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
