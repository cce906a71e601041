//! Power losses: facteur runs under a layer that remembers only what was synced (`tests/lossyfs`),
//! is killed at any moment, and starts again on what a disk would have kept.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use facteur_lossyfs::{IMAGE, LIE, ROOT, library, restore, snapshot};
use facteur_tests::{
    Dns, Facteur, Gateway, Heard, LOCAL, Load, Machine, Mail, Plan, Sink, arrived, machine_within,
    sized, within,
};

/// How long all the losses of a test may take.
const LONG: Duration = Duration::from_secs(900);
/// The one who has a mailbox, with their number.
const USER: (&str, u32) = ("louen", 2001);
/// More than goes into the database.
const LARGE: usize = 100_000;

fn size(number: usize) -> usize {
    if number % 5 == 4 { LARGE } else { 1_000 }
}

/// Every other message to a mailbox; the others wait for a next hop that isn't there yet.
fn recipient(number: usize) -> String {
    if number.is_multiple_of(2) {
        format!("{}@{LOCAL}", USER.0)
    } else {
        format!("box{number}@hop.test")
    }
}

fn config(machine: &Machine, disk: &Path, name: &str) -> PathBuf {
    let (spool, mail) =
        (disk.join("queue").display().to_string(), disk.join("mail").display().to_string());
    let gateway = Gateway {
        spool: &spool,
        mail: &mail,
        reserve: "1MiB",
        routes: &[("hop.test", "smtp:[127.0.0.2]:25")],
        ..Gateway::default()
    };
    gateway.write(machine, name)
}

/// Whether the Maildir is there when facteur starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maildir {
    /// facteur makes it, for several first messages at once.
    Missing,
    /// It was made a moment ago, and nobody has synced it: what is delivered there is lost unless
    /// facteur does.
    Unsynced,
}

/// Loads facteur on a new disk and cuts the power after so many answers. Returns what was heard,
/// and the disk as it then is.
fn lose_power(
    machine: &Machine,
    name: &str,
    answers: usize,
    lie: Option<&str>,
    maildir: Maildir,
) -> (Heard, PathBuf) {
    let disk = Path::new("/var/spool").join(name);
    let image = disk.with_extension("image");
    fs::create_dir(&disk).expect("/var/spool is the test's");
    let mailbox = disk.join("mail").join(USER.0);
    fs::create_dir_all(&mailbox).expect("/var/spool is the test's");
    chown(&mailbox, Some(USER.1), Some(USER.1)).expect("root may give folders away");
    fs::create_dir(disk.join("queue")).expect("/var/spool is the test's");
    snapshot(&disk, &image).expect("an image of an empty disk");
    // Mail is written, and its syncs recorded, as its user.
    for folder in fs::read_dir(&image).expect("the image is there") {
        let folder = folder.expect("a folder can be listed").path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777))
            .expect("an own folder can be changed");
    }
    if maildir == Maildir::Unsynced {
        for folder in ["tmp", "new", "cur"] {
            fs::create_dir(mailbox.join(folder)).expect("the mailbox is there");
        }
        give(&mailbox);
    }
    let library = library().expect("the layer is built with the tests");
    let mut facteur = Facteur::start_with(machine, &config(machine, &disk, name), |command| {
        command.env("LD_PRELOAD", library).env(ROOT, &disk).env(IMAGE, &image);
        if let Some(lie) = lie {
            command.env(LIE, lie);
        }
    });
    let load =
        Load::start(Plan { to: "127.0.0.1:25", clients: 8, messages: 100_000, recipient, size });
    load.wait_for(answers);
    facteur.kill();
    let heard = load.stop();

    let restored = disk.with_extension("restored");
    restore(&disk, &image, &restored).expect("what a disk would have kept");
    // The image keeps neither owners nor modes.
    for folder in [restored.clone(), restored.join("mail")] {
        if folder.exists() {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
                .expect("an own folder can be changed");
        }
    }
    give(&restored.join("mail").join(USER.0));
    for folder in [&disk, &image] {
        fs::remove_dir_all(folder).expect("the folder is the test's");
    }
    (heard, restored)
}

/// Gives the mailbox back to its user.
fn give(path: &Path) {
    if !path.exists() {
        return;
    }
    chown(path, Some(USER.1), Some(USER.1)).expect("root may give files away");
    if path.is_dir() {
        fs::read_dir(path)
            .expect("a folder can be listed")
            .flatten()
            .for_each(|entry| give(&entry.path()));
    }
}

/// What is there after a loss.
struct Found {
    /// The numbers of the messages that are in the mailbox, or in the queue, from where they are
    /// delivered now.
    whole: BTreeSet<usize>,
    /// How many the program found to be broken, and set aside.
    corrupt: usize,
}

/// Starts facteur on the disk, without the layer.
fn found(machine: &Machine, name: &str, disk: &Path) -> Found {
    let sink = Sink::start("127.0.0.2:25");
    let mut facteur = Facteur::start(machine, &config(machine, disk, &format!("{name}-again")));
    facteur.queue(&["flush", "--all"]);
    let corrupt =
        within(Duration::from_secs(60), "the queue to be empty but for what is corrupt", || {
            let left = facteur.queued();
            left.iter().all(|entry| entry.recipients[0].state == "corrupt").then_some(left.len())
        });
    facteur.stop();
    let mut mails = sink.taken();
    let mailbox = disk.join("mail").join(USER.0).join("new");
    for file in fs::read_dir(mailbox).into_iter().flatten() {
        let content =
            fs::read(file.expect("a folder can be listed").path()).expect("mail can be read");
        mails.push(Mail {
            sender: String::new(),
            recipients: Vec::new(),
            arguments: Vec::new(),
            content,
        });
    }
    Found { whole: arrived(&mails, size).into_keys().collect(), corrupt }
}

/// A number below `bound`; the moment of a loss need not be the same in each run.
fn random(bound: usize) -> usize {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    usize::try_from(now.subsec_micros()).expect("less than a million") % bound
}

#[test]
fn what_was_answered_250_survives_a_power_loss() {
    machine_within(LONG, |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let (mut answered, mut unanswered) = (0, 0);
        let losses = sized(20, 200);
        for loss in 0..losses {
            let name = format!("disk{loss}");
            let maildir = if loss % 2 == 0 { Maildir::Unsynced } else { Maildir::Missing };
            let (heard, disk) = lose_power(machine, &name, 1 + random(100), None, maildir);
            let found = found(machine, &name, &disk);
            let missing: Vec<_> = heard.taken.difference(&found.whole).collect();
            assert!(
                missing.is_empty(),
                "loss {loss}: answered 250 and lost: {missing:?} of {}",
                heard.taken.len()
            );
            assert_eq!(found.corrupt, 0, "loss {loss}");
            answered += heard.taken.len();
            unanswered += found.whole.difference(&heard.taken).count();
            fs::remove_dir_all(disk).expect("the folder is the test's");
        }
        println!(
            "{losses} losses: {answered} answered 250, all there; {unanswered} not answered and \
             there"
        );
    });
}

#[test]
fn without_its_syncs_messages_are_lost() {
    machine_within(LONG, |machine| {
        let _dns = Dns::start("127.0.0.1", "");
        // All syncs; those of the log; those of large messages, of their names, and of the mailbox.
        for (index, lie) in ["1", "queue/queue.db-wal", "queue/bodies/", "queue/bodies", "mail/"]
            .into_iter()
            .enumerate()
        {
            let name = format!("lie{index}");
            let (heard, disk) = lose_power(machine, &name, 100, Some(lie), Maildir::Missing);
            let missing = heard.taken.difference(&found(machine, &name, &disk).whole).count();
            println!("{lie}: {missing} of {} missing", heard.taken.len());
            assert_ne!(missing, 0, "with the syncs of {lie} taken out nothing is missing");
        }
    });
}
