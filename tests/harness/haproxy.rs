//! HAProxy as a peer: it takes connections and passes them on, with the PROXY protocol.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::process::Command;

use crate::machine::Machine;
use crate::process::Process;
use crate::programs::peer;
use crate::wait::until;

/// A running HAProxy.
pub struct Haproxy {
    _process: Process,
}

impl Haproxy {
    /// Starts it: what comes to an address (`ADDRESS:PORT`) goes to another one, from the source
    /// address `from`; each has options of its `server` line, such as `send-proxy-v2`.
    pub fn start(machine: &Machine, from: &str, routes: &[(&str, &str, &str)]) -> Self {
        let mut text = "global\n log stderr format raw local0\n\
                        defaults\n mode tcp\n timeout connect 5s\n\
                        \x20timeout client 60s\n timeout server 60s\n"
            .to_owned();
        for (number, (bind, server, options)) in routes.iter().enumerate() {
            // Writing to a String can't fail.
            let _ = write!(
                text,
                "listen route-{number}\n bind {bind}\n source {from}\n \
                 server mx {server} {options}\n"
            );
        }
        let config = machine.write("/etc/haproxy/haproxy.cfg", &text);
        let mut command = Command::new(peer("haproxy"));
        command.arg("-db").arg("-f").arg(config);
        let mut process = Process::start(machine.folder(), "haproxy", &mut command);
        for (bind, ..) in routes {
            until(&format!("HAProxy on {bind}"), || {
                process.must_run();
                TcpStream::connect(bind).ok()
            });
        }
        Self { _process: process }
    }
}
