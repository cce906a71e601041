//! How many instructions the crates without a sandbox take, counted by callgrind: the same on an
//! idle machine and on a busy one.
//!
//! `examples/workload.rs` does a piece of work so many times. It is run twice, and the difference
//! counts, so that the program's start and the preparations cancel out. Compilers differ a little,
//! and so does what the dev profile makes of the code: what is guarded is that it doesn't become
//! more.

use std::path::{Path, PathBuf};
use std::process::Command;

use facteur_budget::Ledger;
use facteur_tests::{output_of, peer};

/// The pieces of work, and how often each is done: enough that what differs from run to run is
/// little.
const WORKLOADS: [(&str, u64); 6] = [
    ("smtp-transaction", 200),
    ("smtp-client", 200),
    ("spool-insert", 100),
    ("find-texthash", 2_000),
    ("find-aliases", 2_000),
    ("find-regexp", 200),
];

fn program() -> PathBuf {
    // target/debug/deps/work-0123456789abcdef
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples/workload");
    assert!(path.is_file(), "{} is missing: it is built with the tests", path.display());
    path
}

/// The instructions of the whole program, all threads together.
fn count(workload: &str, times: u64) -> u64 {
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let written = folder.path().join("callgrind");
    let mut command = Command::new(peer("valgrind.bin"));
    command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", written.display()));
    output_of(command.arg(program()).args([workload, &times.to_string()]).arg(folder.path()))
        .success();
    let text = std::fs::read_to_string(&written).unwrap();
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("no total in {}", written.display()))
}

#[test]
fn budget() {
    let mut ledger = Ledger::open(&["instructions"]);
    for (workload, times) in WORKLOADS {
        let (once, twice) = (count(workload, times), count(workload, 2 * times));
        ledger.enter(&format!("instructions.{workload}"), twice.saturating_sub(once) / times);
    }
    ledger.close();
}
