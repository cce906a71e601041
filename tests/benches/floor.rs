//! The floor of what is accepted and synced: `floor.c`, which says what it does and what it
//! doesn't.

use std::process::Command;
use std::time::Duration;

use facteur_tests::{Client, Machine, Process, output_of, target_folder, within};

use crate::processes::Processes;

/// It writes its file once before it listens.
const START: Duration = Duration::from_secs(30);

/// The running floor.
pub struct Floor {
    address: String,
    processes: Processes,
    _process: Process,
}

impl Floor {
    /// Builds it with the machine's C compiler, which the program needs too, and starts it.
    pub fn start(machine: &Machine, (address, port): (&str, u16)) -> Self {
        let program = target_folder().join("bench/floor");
        std::fs::create_dir_all(target_folder().join("bench")).expect("target/ can be written");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor.c");
        output_of(Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&program).arg(source))
            .success();
        let file = machine.open_folder("bench-floor").join("messages");
        let mut command = Command::new(&program);
        command.args([address, &port.to_string()]).arg(file);
        let (processes, mut process) =
            Processes::of("floor", || Process::start(machine.folder(), "floor", &mut command));
        let address = format!("{address}:{port}");
        within(START, &format!("the floor on {address}"), || {
            process.must_run();
            Client::try_connect("127.0.0.1", &address).ok()
        });
        Self { address, processes, _process: process }
    }

    /// `ADDRESS:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub fn processes(&self) -> &Processes {
        &self.processes
    }
}
