//! `cargo xtask …`: what a fresh checkout needs between `git clone` and a running, tested facteur.
//!
//! Everything it makes lies under `target/`; nothing is installed on the machine but, where rustup
//! can do it, rustup's own WebAssembly target. Each command is idempotent and takes the steps it
//! builds on.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

mod apt;
mod bench;
mod cargo;
mod checks;
mod language_tools;
mod languages;
mod layers;
mod peers;
mod plugins;
mod prerequisites;
mod shell;
mod toolchain;
mod tools;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use shell::Outcome;

/// What a fresh checkout needs to become a running, tested facteur
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    after_help = "Environment:\n  FACTEUR_GUEST_STD=debian  build the guests' standard library from \
                  Debian's packages even where rustup has the target"
)]
struct CommandLine {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build facteur and start it on its embedded default (facteur demo ARGUMENT…)
    Run {
        /// For `facteur demo`
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Every check and every test
    Test {
        /// More rounds, and half an hour of fuzzing
        #[arg(long)]
        long: bool,
        /// Only the tests whose names contain one of these, without the other checks
        #[arg(last = true, value_name = "FILTER")]
        filters: Vec<String>,
    },
    /// See whether everything compiles: the quickest answer, no plugins needed
    Check,
    /// Look for what clippy finds, and for files that import each other
    Lint {
        /// Print the circles of all crates instead
        #[arg(long)]
        layers: bool,
    },
    /// Format all code
    Fmt {
        /// Change nothing, only say whether it is formatted
        #[arg(long)]
        check: bool,
    },
    /// Build the documentation of the code
    Doc {
        /// Show it in the browser
        #[arg(long)]
        open: bool,
    },
    /// Build everything optimised and measure facteur by turns with Postfix (docs/performance.md)
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        #[command(subcommand)]
        parts: Option<Parts>,
        #[command(flatten)]
        request: bench::Request,
    },
    /// Make the WebAssembly target for plugins available
    Setup,
    /// Build the plugins into target/plugins, and the tests' hostile guests into target/hostile
    Plugins,
    /// Build the plugin whose crate is in FOLDER to FOLDER.wasm
    Plugin {
        /// Such as a copy of plugin-sdk/rust/template
        folder: PathBuf,
    },
    /// Build the tests' plugins in C, Go, JavaScript and Python into target/languages
    Languages,
    /// Fetch the mail programs that the tests talk to into target/peers
    Peers,
}

#[derive(Subcommand)]
enum Parts {
    /// Time the parts: protocol, hook calls, spool, tables
    Micro,
}

fn main() -> ExitCode {
    match perform(CommandLine::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Outcome {
    match task {
        Task::Run { arguments } => run(&arguments),
        Task::Test { long, filters } => checks::test(long, &filters),
        Task::Check => checks::check(),
        Task::Lint { layers: true } => layers::show(),
        Task::Lint { layers: false } => checks::lint(),
        Task::Fmt { check } => checks::format(check),
        Task::Doc { open } => checks::documentation(open),
        Task::Bench { parts: Some(Parts::Micro), .. } => bench::micro(),
        Task::Bench { parts: None, request } => bench::run(&request),
        Task::Setup => shell::alone(|| toolchain::set_up().map(drop)),
        Task::Plugins => shell::alone(|| plugins::build(&toolchain::set_up()?)),
        Task::Plugin { folder } => {
            shell::alone(|| plugins::build_one(&toolchain::set_up()?, &folder))
        }
        Task::Languages => shell::alone(languages::build),
        Task::Peers => shell::alone(peers::fetch),
    }
}

/// Builds the program and becomes it. Returns only if that failed.
fn run(arguments: &[String]) -> Outcome {
    shell::alone(|| plugins::build(&toolchain::set_up()?))?;
    shell::step("build facteur", || {
        // Of the whole workspace, as for tests: alone it would be built with other features of what
        // both use, and all of that anew.
        shell::run(cargo::for_host().args(["build", "--workspace", "--bins"]))
    })?;
    let program = cargo::target_directory()?.join("debug/facteur");
    let error = Command::new(&program).arg("demo").args(arguments).exec();
    Err(format!("can't start {}: {error}", program.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(line: &str) -> Result<Task, clap::Error> {
        let words = ["cargo xtask"].into_iter().chain(line.split(' '));
        CommandLine::try_parse_from(words).map(|line| line.task)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_bench_that_is_unknown_is_told_with_those_there_are() {
        let error = parsed("bench acepted --short").err().unwrap().to_string();
        assert!(error.contains("acepted") && error.contains("through"), "{error}");
        let known = parsed("bench accepted through --peers").unwrap();
        let Task::Bench { parts: None, request } = known else { panic!("no bench") };
        assert!(request.benches.len() == 2 && request.peers && !request.short);
        assert!(matches!(
            parsed("bench micro").unwrap(),
            Task::Bench { parts: Some(Parts::Micro), .. }
        ));
    }

    #[test]
    fn what_follows_two_dashes_is_for_others() {
        let Task::Test { long: true, filters } = parsed("test --long -- one two").unwrap() else {
            panic!("no test")
        };
        assert_eq!(filters, ["one", "two"]);
    }
}
