//! `cargo xtask bench [NAME…] [--peers] [--short]`: facteur by turns with its peers, on a machine
//! of their own (see the harness).
//!
//! Everything that is compared is measured by turns in one run (A B C A B C …), since the speed of
//! a machine drifts. What is measured is the release binary with the site's policy on, a spool on a
//! real disk, and 250 after the sync; a bench that can't have these fails. docs/performance.md says
//! how each number comes about.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails by a panic")]

mod accepted;
mod disk;
mod floor;
mod growth;
mod idle;
mod large;
mod machine;
mod policy;
mod processes;
mod queue;
mod report;
mod request;
mod servers;
mod sink;
mod source;
mod through;
mod tls;
mod turns;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use facteur_tests::{Machine, again_on_machine, peer, postfix_folder};
use report::Row;
use request::{Bench, Request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use world::World;

/// How long a whole run may take.
const DEADLINE: Duration = Duration::from_mins(120);

/// The command line.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    request: Request,
    /// From cargo.
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

fn main() -> ExitCode {
    let request = CommandLine::parse().request;
    if let Some(machine) = Machine::here() {
        measure(&machine, &request);
        return ExitCode::SUCCESS;
    }
    // Said here, since these are what a first run lacks.
    postfix_folder();
    peer("smtp-source");
    let _groups = processes::Groups::make();
    open_many_files();
    if again_on_machine(DEADLINE) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs what is asked for, on the machine.
fn measure(machine: &Machine, request: &Request) {
    let world = World::new(machine, request.short, request.peers);
    for bench in Bench::value_variants() {
        if request.benches.is_empty() || request.benches.contains(bench) {
            let known = bench.to_possible_value().expect("no bench is hidden");
            let (name, what) = (known.get_name(), known.get_help().expect("each has one"));
            let what = what.to_string();
            eprintln!("==> {name}: {what}");
            let started = Instant::now();
            let rows = run(*bench, &world);
            eprintln!("<== {name}: {:.0} s", started.elapsed().as_secs_f64());
            report::publish(name, &what, &world, &rows);
        }
    }
}

fn run(bench: Bench, world: &World) -> Vec<Row> {
    match bench {
        Bench::Accepted => accepted::run(world),
        Bench::Through => through::run(world),
        Bench::Policy => policy::run(world),
        Bench::Idle => idle::run(world),
        Bench::Tls => tls::run(world),
        Bench::Large => large::run(world),
        Bench::Growth => growth::run(world),
        Bench::Queue => queue::run(world),
    }
}

/// Raises the limit of open files as far as it goes, for this process and what it starts: idle
/// connections need many.
fn open_many_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    // What it stays at is enough for the other benches.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
}
