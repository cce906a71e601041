//! Haraka, with two workers. The site's policy is a plugin, `haraka-site.js`, which this bench
//! brings.

use std::fs;
use std::process::Command;

use facteur_tests::{Client, Process, target_folder, within};

use super::{START, Server, emptied};
use crate::processes::Processes;
use crate::world::World;

const ADDRESS: &str = "203.0.113.3:25";
const QUEUE: &str = "/var/spool/bench-haraka";
/// The files of its configuration. What a site's log needs is at the level notice; the default,
/// info, has a page for each message.
const FILES: [(&str, &str); 8] = [
    ("config/smtp.ini", "listen=203.0.113.3:25\nnodes=2\n"),
    ("config/outbound.ini", "enable_tls=false\nlocal_mx_ok=true\n"),
    ("config/log.ini", "[main]\nlevel=notice\ntimestamps=true\n"),
    ("config/me", "sulfura.via.ecp.fr\n"),
    ("config/queue_dir", QUEUE),
    ("config/plugins", "site\n"),
    ("config/internalcmd_key", "0\n"),
    ("plugins/site.js", include_str!("haraka-site.js")),
];

/// A running Haraka.
pub struct Haraka {
    _server: Process,
    processes: Processes,
}

impl Haraka {
    /// Starts it.
    pub fn site(world: &World) -> Self {
        let package = target_folder().join("peers/haraka/node_modules/Haraka");
        let program = package.join("bin/haraka");
        assert!(
            program.is_file(),
            "{} is missing: run `cargo xtask bench --peers`",
            program.display()
        );
        for (file, text) in FILES {
            world.machine.write(&format!("/etc/haraka/{file}"), text);
        }
        // It has no defaults for these.
        fs::copy(package.join("config/connection.ini"), "/etc/haraka/config/connection.ini")
            .expect("part of Haraka");
        // What an earlier bench left.
        let _ = fs::remove_dir_all(QUEUE);
        fs::create_dir(QUEUE).expect("/var/spool is the machine's own");
        let (processes, server) = Processes::of("haraka", || {
            let mut command = Command::new("node");
            command.arg(program).args(["-c", "/etc/haraka"]);
            let mut server = Process::start(world.machine.folder(), "bench-haraka", &mut command);
            within(START, "Haraka", || {
                server.must_run();
                Client::try_connect("127.0.0.1", ADDRESS).ok()
            });
            server
        });
        Self { _server: server, processes }
    }
}

impl Server for Haraka {
    fn name(&self) -> &'static str {
        "Haraka"
    }

    fn address(&self) -> &'static str {
        ADDRESS
    }

    fn processes(&self) -> &Processes {
        &self.processes
    }

    fn clear(&self) -> usize {
        emptied(QUEUE.as_ref(), |name| !name.starts_with('.'))
    }
}
