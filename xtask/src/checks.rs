//! `cargo xtask test`: everything that must hold before a change is taken, cheap checks first, the
//! tests last, so that the output ends with their summary. The first failure ends it. `check`,
//! `lint`, `fmt` and `doc` are parts of it by themselves, in every workspace.
//!
//! What a check needs and can't get is a failure, never left out silently.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::languages;
use crate::layers;
use crate::peers;
use crate::plugins::{self, GUESTS};
use crate::prerequisites;
use crate::shell::{self, Outcome};
use crate::toolchain;
use crate::tools::{DENY, FUZZ};

/// Where the fuzz targets are, below the repository.
const FUZZ_FOLDER: &str = "host/smtp/fuzz";

/// How long all fuzz targets together are run, in seconds: with each change, and with `--long`.
const FUZZ_SECONDS: (u64, u64) = (90, 1800);

/// Runs everything, or with `filters` only the tests whose names contain one of them.
pub fn test(long: bool, filters: &[String]) -> Outcome {
    prerequisites::to_test()?;
    shell::alone(|| {
        plugins::build(&toolchain::set_up()?)?;
        languages::build()?;
        peers::fetch()
    })?;
    if filters.is_empty() {
        format(true)?;
        lint()?;
        documentation(false)?;
        shell::step("dependencies", dependencies)?;
        guests_own_tests()?;
        fuzz(if long { FUZZ_SECONDS.1 } else { FUZZ_SECONDS.0 })?;
        shell::step("examples in the documentation", || {
            shell::run(cargo::for_host().args(["test", "--workspace", "--doc"]))
        })?;
    }
    tests(long, filters)
}

/// Whether everything compiles. Needs no plugins.
pub fn check() -> Outcome {
    each_workspace("check", &["check", "--workspace", "--all-targets"])
}

/// Formats all code, or only says whether it is.
pub fn format(only_look: bool) -> Outcome {
    let look = ["fmt", "--all", "--check"];
    each_workspace("formatting", if only_look { &look } else { &look[..2] })
}

/// What is said about the code without running it. Needs no plugins.
pub fn lint() -> Outcome {
    shell::step("layers", layers::check)?;
    each_workspace("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// Builds the documentation of the code, and opens it.
pub fn documentation(open: bool) -> Outcome {
    shell::step("documentation", || {
        let mut cargo = cargo::for_host();
        // The book is for those who change the code: the rooms of a crate are private.
        cargo.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
        cargo.args(open.then_some("--open"));
        let flags = "-D warnings -A rustdoc::private_intra_doc_links";
        shell::run(cargo.env("RUSTDOCFLAGS", flags))
    })
}

/// Licences, banned crates and sources, of what is built for the host and of what goes into the
/// components.
fn dependencies() -> Outcome {
    let program = DENY.program()?;
    let configuration = shell::root().join("deny.toml");
    for workspace in [".", GUESTS[0].workspace] {
        let mut deny = Command::new(&program);
        deny.current_dir(shell::root().join(workspace)).arg("--config").arg(&configuration);
        shell::run(deny.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    }
    Ok(())
}

/// The unit tests of the guests, which run natively: a guest's logic needs no sandbox.
fn guests_own_tests() -> Outcome {
    each_guest_workspace("unit tests", &["test", "--workspace"])
}

/// Lets cargo do the same in the host's workspace and in those of the guests.
fn each_workspace(name: &str, arguments: &[&str]) -> Outcome {
    shell::step(name, || shell::run(cargo::for_host().args(arguments)))?;
    each_guest_workspace(name, arguments)
}

fn each_guest_workspace(name: &str, arguments: &[&str]) -> Outcome {
    for guests in &GUESTS {
        shell::step(&format!("{name} of {}", guests.workspace), || {
            let mut cargo = cargo::for_guests();
            cargo
                .current_dir(shell::root().join(guests.workspace))
                .env("CARGO_TARGET_DIR", plugins::target_directory());
            shell::run(cargo.args(arguments))
        })?;
    }
    Ok(())
}

/// Runs each fuzz target for its share of the time, on top of what earlier runs found.
fn fuzz(seconds: u64) -> Outcome {
    let program = FUZZ.program()?;
    nightly()?;
    let folder = shell::root().join(FUZZ_FOLDER);
    let target_directory = shell::root().join("target/fuzz");
    let fuzz = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        // cargo-fuzz calls rustup's cargo, which takes the tool chain from here.
        command
            .arg("fuzz")
            .args(arguments)
            .arg("--fuzz-dir")
            .arg(&folder)
            .current_dir(shell::root());
        command
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .env("CARGO_TARGET_DIR", &target_directory)
            .env_remove("CARGO");
        command
    };
    let targets = shell::capture(&mut fuzz(&["list"]))?;
    let targets: Vec<&str> = targets.split_whitespace().collect();
    if targets.is_empty() {
        return Err(format!("{FUZZ_FOLDER} has no fuzz target"));
    }
    shell::step("build the fuzz targets", || shell::run(&mut fuzz(&["build"])))?;
    let share = (seconds / targets.len() as u64).max(1);
    for target in targets {
        shell::step(&format!("fuzz {target} for {share} s"), || {
            // New inputs go to the first folder; the seeds are kept in the repository.
            let inputs = [folder.join("corpus").join(target), folder.join("seeds").join(target)];
            inputs.iter().try_for_each(|inputs| shell::create_directory(inputs))?;
            let limit = format!("-max_total_time={share}");
            let mut run = fuzz(&["run", target]);
            shell::run(run.args(inputs).args([
                "--",
                &limit,
                "-print_final_stats=1",
                "-verbosity=0",
            ]))
        })?;
    }
    Ok(())
}

/// Sees to it that there is a nightly tool chain, which the fuzzer's instrumentation needs.
fn nightly() -> Outcome {
    let is_there =
        || shell::succeeds(Command::new("rustup").args(["run", "nightly", "rustc", "--version"]));
    if is_there() {
        return Ok(());
    }
    shell::step("install a nightly tool chain for the fuzzer", || {
        shell::run(Command::new("rustup").args([
            "toolchain",
            "install",
            "nightly",
            "--profile",
            "minimal",
        ]))
    })
}

/// The tests. The process becomes the test runner, so that the last lines and the exit code are the
/// runner's. Returns only if that failed.
fn tests(long: bool, filters: &[String]) -> Outcome {
    // The system tests start the program itself, which building the tests alone would not renew.
    shell::step("build facteur", || {
        shell::run(cargo::for_host().args(["build", "--workspace", "--bins"]))
    })?;
    let mut cargo = cargo::for_host();
    if long {
        cargo.env("FACTEUR_TEST_LONG", "1");
    }
    if shell::find_program("cargo-nextest").is_some() {
        eprintln!("==> tests");
        cargo.args(["nextest", "run", "--workspace"]).args(filters);
    } else {
        eprintln!("==> tests (cargo-nextest is not installed: with cargo test)");
        if filters.len() > 1 {
            return Err("cargo test takes one filter; cargo-nextest takes more".into());
        }
        // Unlike nextest it doesn't build the programs that some tests run.
        shell::run(cargo::for_host().args(["build", "--workspace", "--examples"]))?;
        cargo.args(["test", "--workspace", "--lib", "--bins", "--tests"]).args(filters);
    }
    let error = cargo.stdin(Stdio::null()).exec();
    Err(format!("can't start cargo: {error}"))
}
