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
mod growth;
mod idle;
mod large;
mod machine;
mod policy;
mod processes;
mod queue;
mod report;
mod servers;
mod sink;
mod source;
mod through;
mod turns;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use facteur_tests::{Machine, again_on_machine, peer, postfix_folder};
use report::Row;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use world::World;

/// How long a whole run may take.
const DEADLINE: Duration = Duration::from_mins(120);

/// Measures one thing or several.
type Bench = fn(&World) -> Vec<Row>;

/// What can be measured, in the order of a whole run: name, what it is, how.
const BENCHES: [(&str, &str, Bench); 7] = [
    ("accepted", "messages taken and synced, delivery held", accepted::run),
    ("through", "messages in, decided, queued, and out to smtp-sink", through::run),
    ("policy", "what plugins cost: none, the site's, a chain of four", policy::run),
    ("idle", "memory of idle connections", idle::run),
    ("large", "large messages: memory, and the share of what the disk writes", large::run),
    ("growth", "the same rate with a long queue, many sessions, many plugins", growth::run),
    ("queue", "a long queue: memory and start", queue::run),
];

/// What the command line asks for.
#[derive(Debug, Default)]
struct Request {
    names: Vec<String>,
    short: bool,
    peers: bool,
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut request = Request::default();
    for argument in arguments {
        match argument.as_str() {
            "--short" => request.short = true,
            "--peers" => request.peers = true,
            // From cargo.
            "--bench" => {}
            name if BENCHES.iter().any(|(known, ..)| *known == name) => {
                request.names.push(argument);
            }
            _ => {
                let names = BENCHES.map(|(name, what, _)| format!("  {name:10}{what}"));
                return Err(format!(
                    "no bench is called {argument}; there are\n{}",
                    names.join("\n")
                ));
            }
        }
    }
    Ok(request)
}

fn main() -> ExitCode {
    let request = match parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
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
    for (name, what, run) in BENCHES {
        if request.names.is_empty() || request.names.iter().any(|asked| asked == name) {
            eprintln!("==> {name}: {what}");
            let started = Instant::now();
            let rows = run(&world);
            eprintln!("<== {name}: {:.0} s", started.elapsed().as_secs_f64());
            report::publish(name, what, &world, &rows);
        }
    }
}

/// Raises the limit of open files as far as it goes, for this process and what it starts: idle
/// connections need many.
fn open_many_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    // What it stays at is enough for the other benches.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
}
