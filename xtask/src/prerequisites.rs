//! What must be on the machine before anything is set up: told all at once, with the command that
//! installs it.

use crate::shell::{self, Outcome};

/// A program, the Debian package that brings it, and why it is needed.
struct Prerequisite {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const fn needed(program: &'static str, package: &'static str, why: &'static str) -> Prerequisite {
    Prerequisite { program, package, why }
}

/// What building facteur takes. That there is a linker is sure: without one this program would not
/// have come about.
const TO_BUILD: [Prerequisite; 1] =
    [needed("cc", "gcc", "SQLite and the cryptography of TLS are written in C")];

/// What the tests take besides. The README names them.
const TO_TEST: [Prerequisite; 7] = [
    needed("c++", "g++", "the fuzzer is written in C++"),
    needed("apt-get", "apt", "other mail programs are Debian's packages, unpacked"),
    needed("perl", "perl", "swaks is a Perl script"),
    needed("curl", "curl", "the README's own commands use it"),
    needed("python3", "python3", "its smtplib is one of the clients tried"),
    needed("unshare", "util-linux", "tests run in a network namespace"),
    needed("ldd", "libc-bin", "it finds missing libraries"),
];

/// What building plugins in other languages takes besides.
const TO_BUILD_LANGUAGES: [Prerequisite; 3] = [
    needed("pip3", "python3-pip", "zig, Go, wasm-tools and componentize-py come from PyPI"),
    needed("node", "nodejs", "componentize-qjs runs in it"),
    needed("npm", "npm", "componentize-qjs comes from there"),
];

/// Fails if something that building takes is missing.
pub fn to_build() -> Outcome {
    told(&missing(TO_BUILD.iter()))
}

/// Fails if something that building plugins in other languages takes is missing.
pub fn to_build_languages() -> Outcome {
    told(&missing(TO_BUILD_LANGUAGES.iter()))
}

/// Fails if something that building or the tests take is missing.
pub fn to_test() -> Outcome {
    told(&missing(TO_BUILD.iter().chain(&TO_TEST).chain(&TO_BUILD_LANGUAGES)))
}

fn missing(needed: impl Iterator<Item = &'static Prerequisite>) -> Vec<&'static Prerequisite> {
    needed.filter(|needed| shell::find_program(needed.program).is_none()).collect()
}

fn told(missing: &[&Prerequisite]) -> Outcome {
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing
        .iter()
        .map(|missing| format!("{} is missing: {}", missing.program, missing.why))
        .collect();
    let packages: Vec<_> = missing.iter().map(|missing| missing.package).collect();
    Err(format!("{}\n\n  apt-get install {}", programs.join("\n"), packages.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_at_once_with_the_command() {
        let absent = needed("no-such-program", "its-package", "for the test");
        let other = needed("no-other", "another", "for it, too");
        assert_eq!(
            told(&[&absent, &other]).unwrap_err(),
            "no-such-program is missing: for the test\nno-other is missing: for it, too\n\n  \
             apt-get install its-package another"
        );
    }

    #[test]
    fn the_readme_names_every_package() {
        let readme = include_str!("../../README.md");
        // Every Debian has these.
        let always = ["apt", "util-linux", "libc-bin"];
        for needed in TO_BUILD.iter().chain(&TO_TEST).chain(&TO_BUILD_LANGUAGES) {
            let is_named = readme.contains(needed.package) || always.contains(&needed.package);
            assert!(is_named, "{}", needed.package);
        }
    }
}
