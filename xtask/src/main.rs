//! `cargo xtask …`: what a fresh checkout needs between `git clone` and a running, tested facteur.
//!
//! Everything it makes lies under `target/`; nothing is installed on the machine but, where rustup
//! can do it, rustup's own WebAssembly target. Each command is idempotent and takes the steps it
//! builds on.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

mod apt;
mod checks;
mod layers;
mod micro;
mod peers;
mod plugins;
mod shell;
mod toolchain;
mod tools;

use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use shell::Outcome;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup                         make the WebAssembly target for plugins available
  plugins                       build the plugins into target/plugins, the hostile test guests \
  into target/hostile
  plugin FOLDER                 build the plugin whose crate is in FOLDER to FOLDER.wasm
  peers                         fetch the mail programs that the system tests talk to into \
  target/peers
  run [-- ARGUMENT…]            build facteur and start it on its embedded default (facteur demo \
  ARGUMENT…)
  bench [NAME…] [--short] [--peers]
                                build everything optimised and measure facteur by turns with \
                                Postfix; --short: in two minutes;
                                --peers: with Haraka and Exim, too. docs/performance.md says what \
                                the names are
  bench micro                   time the parts: protocol, hook calls, spool, tables
  lint [--layers]               what `test` says about the code without running it; --layers: the \
  circles of all crates
  test [--long]                 every check and every test; --long: more rounds, ten minutes of \
  fuzzing
  test [--long] -- FILTER…      only the tests whose names contain one of the filters, without the \
  other checks

environment
  FACTEUR_GUEST_STD=debian      build the guests' standard library from Debian's packages even \
  where rustup has the target";

/// What the command line asks for.
enum Request {
    Help,
    Setup,
    Plugins,
    Plugin(PathBuf),
    Peers,
    Run(Vec<String>),
    Bench(Vec<String>),
    BenchMicro,
    Lint,
    Layers,
    Test { long: bool, filters: Vec<String> },
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match parse(&arguments).and_then(perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Outcome<Request> {
    let (own, rest) = match arguments.iter().position(|argument| argument == "--") {
        Some(at) => (&arguments[..at], arguments[at + 1..].to_vec()),
        None => (arguments, Vec::new()),
    };
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    match (own.as_slice(), rest.is_empty()) {
        ([] | ["help" | "--help" | "-h"], true) => Ok(Request::Help),
        (["setup"], true) => Ok(Request::Setup),
        (["plugins"], true) => Ok(Request::Plugins),
        (["plugin", folder], true) => Ok(Request::Plugin(PathBuf::from(folder))),
        (["plugin"], true) => Err("name the plugin's folder: cargo xtask plugin FOLDER".into()),
        (["peers"], true) => Ok(Request::Peers),
        (["bench", "micro"], true) => Ok(Request::BenchMicro),
        (["bench", asked @ ..], true) => {
            Ok(Request::Bench(asked.iter().map(|&word| word.to_owned()).collect()))
        }
        (["lint"], true) => Ok(Request::Lint),
        (["lint", "--layers"], true) => Ok(Request::Layers),
        (["run"], _) => Ok(Request::Run(rest)),
        (["test"], _) => Ok(Request::Test { long: false, filters: rest }),
        (["test", "--long"], _) => Ok(Request::Test { long: true, filters: rest }),
        _ => Err(format!("don't know what `{}` means\n\n{USAGE}", arguments.join(" "))),
    }
}

fn perform(request: Request) -> Outcome {
    match request {
        Request::Help => {
            println!("{USAGE}");
            Ok(())
        }
        Request::Setup => shell::alone(|| toolchain::set_up().map(drop)),
        Request::Plugins => shell::alone(|| plugins::build(&toolchain::set_up()?)),
        Request::Plugin(folder) => {
            shell::alone(|| plugins::build_one(&toolchain::set_up()?, &folder))
        }
        Request::Peers => shell::alone(peers::fetch),
        Request::Run(arguments) => run(&arguments),
        Request::Bench(asked) => bench(&asked),
        Request::BenchMicro => micro::run(),
        Request::Lint => checks::lint(),
        Request::Layers => layers::show(),
        Request::Test { long, filters } => checks::test(long, &filters),
    }
}

/// Builds the program and becomes it. Returns only if that failed.
fn run(arguments: &[String]) -> Outcome {
    shell::alone(|| plugins::build(&toolchain::set_up()?))?;
    shell::step("build facteur", || {
        shell::run(shell::cargo().args(["build", "--package", "facteur"]))
    })?;
    let program = shell::target_directory().join("debug/facteur");
    let error = Command::new(&program).arg("demo").args(arguments).exec();
    Err(format!("can't start {}: {error}", program.display()))
}

/// Fetches what is measured, builds the program and the benches in one profile, and becomes the
/// benches. Returns only if that failed.
fn bench(asked: &[String]) -> Outcome {
    shell::alone(|| {
        plugins::build(&toolchain::set_up()?)?;
        peers::fetch()?;
        if asked.iter().any(|word| word == "--peers") { peers::fetch_more() } else { Ok(()) }
    })?;
    // The whole workspace each time, so that no dependency is built twice with different features.
    shell::step("build facteur", || {
        shell::run(shell::cargo().args(["build", "--release", "--workspace", "--bins"]))
    })?;
    let mut cargo = shell::cargo();
    cargo.args(["bench", "--workspace", "--bench", "peers", "--"]).args(asked);
    let error = cargo.stdin(Stdio::null()).exec();
    Err(format!("can't start cargo: {error}"))
}
