//! How often the real program makes the disk sync, seen by a layer below it (`tests/lossyfs`).
//!
//! Each message is sent when the one before is done with, so that no two can share a commit, and the numbers are the same in every run.
//! That those that wait at the same time do share one is for the spool's own tests, which can make them wait (`what_waits_is_one_commit`).

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

/// facteur with the layer below it.
struct Counted {
    facteur: Facteur,
    log: PathBuf,
}

impl Counted {
    fn start(machine: &Machine) -> Self {
        let (root, log) = (Path::new("/var/spool/counted"), machine.folder().join("syncs"));
        fs::create_dir_all(root.join("mail")).unwrap();
        machine.open_folder("counted/mail");
        let config = machine.write("/etc/counted/facteur.toml", &site::configuration(SERVER, root, Some("louen")));
        // Mail is written, and its syncs logged, as its user.
        fs::write(&log, "").unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
        let library = library().unwrap();
        let facteur = Facteur::start_with(machine, &config, |command| {
            command.env("LD_PRELOAD", library).env(ROOT, root).env(LOG, &log);
        });
        Self { facteur, log }
    }

    /// The syncs so far, by what was synced: the log of the queue, its database, a body, mail, another file.
    fn so_far(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(&self.log).unwrap().lines() {
            let kind = match line {
                "queue/queue.db-wal" => "log",
                "queue/queue.db" => "database",
                "queue/bodies" => "names-of-bodies",
                _ if line.starts_with("queue/bodies/") => "bodies",
                _ if line.starts_with("mail") => "mail",
                _ => "others",
            };
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// What this makes it sync.
    fn during(&self, work: impl FnOnce()) -> BTreeMap<&'static str, u64> {
        let before = self.so_far();
        work();
        let mut after = self.so_far();
        for (kind, count) in &mut after {
            *count -= before.get(kind).copied().unwrap_or(0);
        }
        println!("{after:?}");
        after
    }
}

/// One at a time on one connection.
fn send(client: &mut Client, count: usize, sender: &str, size: usize, done: impl Fn()) {
    let content = site::content(size);
    for _ in 0..count {
        client.deliver(sender, &[site::USER], &content);
        done();
    }
}

#[test]
fn syncs() {
    machine_within(LONG, |machine| {
        let counted = Counted::start(machine);
        let mut client = Client::connect("127.0.0.1", SERVER);
        client.ehlo();
        let mut ledger = Ledger::open(&["syncs"]);
        let of = |counts: &BTreeMap<&str, u64>, kinds: &[&str]| {
            kinds.iter().map(|kind| counts.get(kind).copied().unwrap_or(0)).sum::<u64>()
        };

        let small = counted.during(|| send(&mut client, 1_000, site::HELD, 4096, || ()));
        ledger.enter("syncs.thousand-accepted", of(&small, &["log"]));
        let rest = small.values().sum::<u64>() - of(&small, &["log"]);
        ledger.enter("syncs.thousand-accepted-housekeeping", rest);

        let large = counted.during(|| send(&mut client, 100, site::HELD, 100_000, || ()));
        ledger.enter("syncs.hundred-large-accepted", large.values().sum());

        counted.facteur.queue(&["delete", "--all"]);
        let empty = || counted.facteur.wait_until_empty();
        // The first one makes the Maildir.
        send(&mut client, 1, site::SENDER, 4096, empty);
        let delivered = counted.during(|| send(&mut client, 20, site::SENDER, 4096, empty));
        ledger.enter("syncs.twenty-delivered-to-maildir", delivered.values().sum());
        ledger.close();
    });
}
