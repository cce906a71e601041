//! Postfix's smtp-sink, which stores nothing: as the ceiling, and as the next hop that counts.

use std::process::Command;
use std::time::{Duration, Instant};

use facteur_tests::{Client, Machine, Process, peer, within};

/// How long a message may be on its way.
const LATE: Duration = Duration::from_mins(2);
/// How often it is looked whether all is there.
const LOOK: Duration = Duration::from_millis(2);

/// A running smtp-sink.
pub struct Sink {
    process: Process,
    address: String,
}

impl Sink {
    /// Starts one that counts what it takes.
    pub fn counting(machine: &Machine, address: &str) -> Self {
        Self::start(machine, address, &["-c"])
    }

    /// Starts one that does nothing but answer.
    pub fn plain(machine: &Machine, address: &str) -> Self {
        Self::start(machine, address, &[])
    }

    fn start(machine: &Machine, address: &str, options: &[&str]) -> Self {
        let mut command = Command::new(peer("smtp-sink"));
        // More connections than any load has; as root it needs somebody to be.
        command.args(["-u", "nobody", "-m", "4000"]).args(options).args([address, "1024"]);
        let name = format!("bench-sink-{}", address.replace([':', '.'], "-"));
        let mut process = Process::start(machine.folder(), &name, &mut command);
        within(Duration::from_secs(5), &format!("smtp-sink on {address}"), || {
            process.must_run();
            Client::try_connect("127.0.0.1", address).ok()
        });
        Self { process, address: address.to_owned() }
    }

    /// `ADDRESS:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many messages a counting one has taken.
    pub fn count(&self) -> usize {
        // `sess=1 quit=1 mesg=1`, each time with a carriage return in place of a line's end.
        let end = self.process.own_log_end(256);
        let whole = end.rsplit_once('\r').map_or("", |(whole, _)| whole);
        whole.rsplit_once("mesg=").and_then(|(_, count)| count.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until it has taken so many; returns when that was.
    pub fn wait(&self, count: usize) -> Instant {
        let deadline = Instant::now() + LATE;
        loop {
            let now = Instant::now();
            let there = self.count();
            if there >= count {
                assert!(there == count, "{there} messages of {count} came: some twice");
                return now;
            }
            assert!(now < deadline, "{there} messages of {count} came within {LATE:?}");
            std::thread::sleep(LOOK);
        }
    }
}
