//! How often the real program makes the disk sync, seen by a layer below it (`tests/lossyfs`).
//!
//! Each message is sent when the one before is done with, so that no two can share a commit; and
//! fewer are sent than let the log be emptied into the database, which a thread of its own does at
//! its own time. So the numbers are the same in every run. That those that wait at the same time do
//! share a commit is for the spool's own tests, which can make them wait
//! (`what_waits_is_one_commit`).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use facteur_budget::{Ledger, site};
use facteur_lossyfs::{LOG, ROOT, library};
use facteur_tests::{Client, Facteur, Machine, machine_within};

/// For a thousand syncs of a disk that is busy with other tests.
const LONG: Duration = Duration::from_secs(120);
const SERVER: &str = "127.0.0.1:25";
/// So few octets that a thousand messages stay below the 16 MiB that the log may gather, at 16 KiB
/// each for tables and indexes.
const SMALL: usize = 200;
/// More than goes into the database.
const LARGE: usize = 100_000;

/// facteur on a new disk with the layer below it.
struct Counted {
    facteur: Facteur,
    log: PathBuf,
}

impl Counted {
    fn start(machine: &Machine, name: &str) -> Self {
        let (root, log) = (Path::new("/var/spool").join(name), machine.folder().join(name));
        // Mail is written, and its syncs logged, as its user.
        machine.open_folder(&format!("{name}/mail"));
        fs::write(&log, "").unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
        let config = machine.write(
            &format!("/etc/{name}/facteur.toml"),
            &site::configuration(SERVER, &root, Some("louen")),
        );
        let library = library().unwrap();
        let facteur = Facteur::start_with(machine, &config, |command| {
            command.env("LD_PRELOAD", library).env(ROOT, &root).env(LOG, &log);
        });
        Self { facteur, log }
    }

    fn so_far(&self) -> Vec<String> {
        fs::read_to_string(&self.log).unwrap().lines().map(str::to_owned).collect()
    }

    /// How many syncs this takes. What was synced is printed.
    fn during(&mut self, work: impl FnOnce(&mut Facteur)) -> u64 {
        let before = self.so_far().len();
        work(&mut self.facteur);
        let mut synced: BTreeMap<String, u64> = BTreeMap::new();
        for path in self.so_far().drain(..).skip(before) {
            // Bodies and mail have names of their own.
            let kind = path
                .rsplit_once('/')
                .filter(|(folder, _)| *folder != "queue")
                .map(|(folder, _)| folder.to_owned());
            *synced.entry(kind.map_or(path, |folder| format!("{folder}/…"))).or_default() += 1;
        }
        println!("{synced:?}");
        synced.values().sum()
    }
}

/// One at a time on one connection.
fn send(count: usize, sender: &str, size: usize, done: impl Fn()) {
    let mut client = Client::connect("127.0.0.1", SERVER);
    client.ehlo();
    let content = site::content(size);
    for _ in 0..count {
        client.deliver(sender, &[site::USER], &content);
        done();
    }
}

#[test]
fn budget() {
    machine_within(LONG, |machine| {
        let mut ledger = Ledger::open(&["syncs"]);

        let mut small = Counted::start(machine, "small");
        ledger.enter(
            "syncs.thousand-accepted",
            small.during(|_| send(1_000, site::HELD, SMALL, || ())),
        );
        ledger.enter("syncs.stop", small.during(Facteur::stop));

        let mut large = Counted::start(machine, "large");
        ledger.enter(
            "syncs.hundred-large-accepted",
            large.during(|_| send(100, site::HELD, LARGE, || ())),
        );
        large.facteur.stop();

        let mut delivered = Counted::start(machine, "delivered");
        // The first one makes the Maildir.
        send(1, site::SENDER, SMALL, || delivered.facteur.wait_until_empty());
        let syncs = delivered
            .during(|facteur| send(20, site::SENDER, SMALL, || facteur.wait_until_empty()));
        ledger.enter("syncs.twenty-delivered-to-maildir", syncs);
        ledger.close();
    });
}
