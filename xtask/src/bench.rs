//! `cargo xtask bench`: facteur by turns with its peers, or what the parts cost by themselves.
//!
//! Both tell times, for the one who changes a part; what must not become worse is counted by the
//! tests instead (`tests/budget`).

// What can be measured is known there; only what is asked for is read here, before anything is
// built.
#[path = "../../tests/benches/request.rs"]
mod request;

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use clap::ValueEnum;

use crate::cargo;
use crate::peers;
use crate::plugins;
use crate::shell::{self, Outcome};
use crate::toolchain;
pub use request::Request;

/// The micro-benches: one in each crate of the host, named as its folder.
const MICRO: [&str; 4] = ["smtp", "policy", "spool", "mta"];

/// Fetches what is measured, builds the program and the benches in one profile, and becomes the
/// benches. Returns only if that failed.
pub fn run(request: &Request) -> Outcome {
    shell::alone(|| {
        plugins::build(&toolchain::set_up()?)?;
        peers::fetch()?;
        if request.peers { peers::fetch_more() } else { Ok(()) }
    })?;
    // The whole workspace each time, so that no dependency is built twice with different features.
    shell::step("build facteur", || {
        shell::run(cargo::for_host().args(["build", "--release", "--workspace", "--bins"]))
    })?;
    let mut cargo = cargo::for_host();
    cargo.args(["bench", "--workspace", "--bench", "peers", "--"]);
    let names = request.benches.iter().filter_map(ValueEnum::to_possible_value);
    cargo.args(names.map(|name| name.get_name().to_owned()));
    cargo.args(request.short.then_some("--short"));
    cargo.args(request.peers.then_some("--peers"));
    let error = cargo.stdin(Stdio::null()).exec();
    Err(format!("can't start cargo: {error}"))
}

/// Runs all micro-benches.
pub fn micro() -> Outcome {
    shell::alone(|| plugins::build(&toolchain::set_up()?))?;
    let mut cargo = cargo::for_host();
    // Of the whole workspace, so that nothing is built with other features than the program; by
    // name, since cargo would build every crate's unit tests for `--benches`.
    cargo.args(["bench", "--workspace"]);
    for bench in MICRO {
        cargo.args(["--bench", bench]);
    }
    shell::step("micro-benches", || shell::run(&mut cargo))
}
