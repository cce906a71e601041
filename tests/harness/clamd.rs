//! clamd as a peer: an instance of its own that knows one signature, the test file of EICAR.

use std::path::PathBuf;
use std::process::Command;

use crate::machine::Machine;
use crate::process::Process;
use crate::programs::peer;
use crate::wait::within;

/// The test file of EICAR, which every virus scanner takes for a virus and nobody else does. In two
/// parts, so that no scanner takes this file for one.
const EICAR: [&str; 2] =
    ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];

/// A running clamd.
pub struct Clamd {
    process: Process,
    socket: PathBuf,
}

impl Clamd {
    /// Starts an instance under a name (its files are in `/var/spool/NAME`) that listens on a unix
    /// socket, and with more lines for its clamd.conf, such as `TCPAddr` and `TCPSocket`.
    pub fn start(machine: &Machine, name: &str, settings: &str) -> Self {
        let folder = PathBuf::from("/var/spool").join(name);
        let socket = folder.join("clamd.sock");
        let place = folder.display();
        // Name, any type of file, anywhere in it, these octets.
        let octets =
            Self::virus().bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        machine.write(
            &format!("{place}/signatures/test.ndb"),
            &format!("Eicar-Test-Signature:0:*:{octets}\n"),
        );
        let config = machine.write(
            &format!("{place}/clamd.conf"),
            &format!(
                "Foreground yes\nLogTime yes\nDatabaseDirectory {place}/signatures\n\
                 TemporaryDirectory {place}\n\
                 LocalSocket {}\n{settings}\n",
                socket.display()
            ),
        );
        let mut command = Command::new(peer("clamd"));
        command.arg(format!("--config-file={}", config.display()));
        let mut process = Process::start(machine.folder(), name, &mut command);
        // The first start reads its libraries from a cold disk.
        within(crate::wait::PATIENCE * 2, &format!("clamd {name}"), || {
            process.must_run();
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
        Self { process, socket }
    }

    /// Its unix socket.
    pub fn socket(&self) -> String {
        self.socket.display().to_string()
    }

    /// What this scanner finds.
    pub fn virus() -> String {
        EICAR.concat()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
