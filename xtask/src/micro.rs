//! `cargo xtask bench micro`: what the parts cost by themselves. Times, for the one who changes a
//! part; what must not become worse is counted by the tests instead (`tests/budget`).

use crate::plugins;
use crate::shell::{self, Outcome};
use crate::toolchain;

/// One in each crate of the host, named as its folder.
const BENCHES: [&str; 4] = ["smtp", "policy", "spool", "mta"];

/// Runs all of them.
pub fn run() -> Outcome {
    shell::alone(|| plugins::build(&toolchain::set_up()?))?;
    let mut cargo = shell::cargo();
    // Of the whole workspace, so that nothing is built with other features than the program; by
    // name, since cargo would build every crate's unit tests for `--benches`.
    cargo.args(["bench", "--workspace"]);
    for bench in BENCHES {
        cargo.args(["--bench", bench]);
    }
    shell::step("micro-benches", || shell::run(&mut cargo))
}
