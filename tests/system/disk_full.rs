//! A disk that gets full: new mail is put off, what was taken is kept, and it goes on when there is
//! room.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Load, Machine, Plan, Sink, arrived, crlf, letter, machine,
    numbered, output_of, until,
};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

const DISK: &str = "/var/spool/small";
const SPOOL: &str = "/var/spool/small/queue";
const FILLER: &str = "/var/spool/small/filler";
/// What a file grows by.
const PAGE: u64 = 4_096;
const FULL: &str = "452 4.3.1 Insufficient system storage";

/// Facteur on a disk of 64 MiB.
fn on_a_small_disk(machine: &Machine) -> Facteur {
    fs::create_dir(DISK).expect("/var/spool is the test's");
    output_of(Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs", DISK]))
        .success();
    // Asking until the answer changes makes errors.
    let limits = "message-size = \"4MiB\"\nerrors = 100000";
    let routes = [("*", "smtp:[127.0.0.2]:25")];
    let gateway =
        Gateway { spool: SPOOL, limits, reserve: "1MiB", routes: &routes, ..Gateway::default() };
    Facteur::start(machine, &gateway.write(machine, "small"))
}

fn free() -> u64 {
    let found = statvfs(DISK).expect("the disk is there");
    found.f_bavail * found.f_frsize
}

/// Leaves so many octets free, or a page less, whatever the program writes meanwhile.
fn fill(left: u64) {
    let file =
        File::options().append(true).create(true).open(FILLER).expect("the disk is the test's");
    let mut step = u64::MAX;
    while free() > left {
        let size = file.metadata().expect("an open file").len();
        step = step.min(free().saturating_sub(left)).max(PAGE);
        match fallocate(&file, FallocateFlags::empty(), size, step) {
            Ok(()) => step = u64::MAX,
            // It was taken in between.
            Err(Errno::NOSPC) => step /= 2,
            Err(error) => panic!("{FILLER}: {error}"),
        }
    }
}

fn connect() -> Client {
    let mut client = Client::connect("127.0.0.1", "127.0.0.1:25");
    client.ehlo();
    client
}

/// Waits until mail is taken again: a look at the disk is good for a second.
fn until_taken(client: &mut Client) {
    until("MAIL to be answered 250", || {
        let reply = client.send("MAIL FROM:<a@sender.test>");
        assert!(reply.code == 250 || reply == FULL, "{reply}");
        (reply.code == 250).then_some(())
    });
    client.expect("RSET", 250);
}

/// Waits until no more mail is taken.
fn until_full(client: &mut Client) {
    until("MAIL to be answered 452", || {
        let reply = client.send("MAIL FROM:<a@sender.test>");
        if reply.code == 250 {
            client.expect("RSET", 250);
            return None;
        }
        assert_eq!(reply, FULL);
        Some(())
    });
}

#[test]
fn a_full_disk_puts_mail_off_and_loses_none() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let mut facteur = on_a_small_disk(machine);
        let mut client = connect();
        let id = client.deliver("a@sender.test", &["b@hop.test"], &letter("before"));
        facteur.wait_until_deferred(&id, 1);
        // Less than one and a half messages.
        fill(2 << 20);
        until_full(&mut client);
        // With nothing left at all, what is there is still delivered, and its outcome written down.
        fill(0);
        assert_eq!(free(), 0);
        let sink = Sink::start("127.0.0.2:25");
        facteur.queue(&["flush", "--all"]);
        assert_eq!(sink.one().header("Subject").unwrap(), "before");
        facteur.wait_until_empty();
        assert_eq!(client.send("MAIL FROM:<a@sender.test>"), FULL);

        fs::remove_file(FILLER).expect("the disk is the test's");
        until_taken(&mut client);
        client.deliver("a@sender.test", &["b@hop.test"], &letter("later"));
        assert_eq!(sink.mail(2)[1].header("Subject").unwrap(), "later");
        facteur.wait_until_empty();
        facteur.stop();
    });
}

#[test]
fn a_load_that_fills_the_disk_loses_nothing_that_was_taken() {
    machine(|machine| {
        let size = |_| 300_000;
        let _dns = Dns::start("127.0.0.1", "");
        let facteur = on_a_small_disk(machine);
        let load = Load::start(Plan {
            to: "127.0.0.1:25",
            clients: 10,
            messages: 400,
            recipient: |number| format!("box{number}@hop.test"),
            size,
        });
        let heard = load.finish();
        let (taken, put_off) = (heard.taken.len(), heard.others.len());
        assert!(
            taken > 50 && put_off > 50,
            "{taken} taken, {put_off} put off: the disk didn't fill in the middle"
        );
        assert!(heard.others.values().all(|words| words == FULL), "{:?}", heard.others);
        let sink = Sink::start("127.0.0.2:25");
        facteur.queue(&["flush", "--all"]);
        facteur.wait_until_empty();
        let counts = arrived(&sink.taken(), size);
        assert_eq!(counts.keys().copied().collect::<BTreeSet<_>>(), heard.taken);
        assert!(counts.values().all(|&count| count == 1), "twice: {counts:?}");
        println!("{taken} taken and arrived once, {put_off} put off");
        // There is room again, without a restart.
        until_taken(&mut connect());
    });
}

#[test]
fn a_disk_that_fills_during_data_is_answered_452_and_the_session_goes_on() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let sink = Sink::start("127.0.0.2:25");
        let facteur = on_a_small_disk(machine);
        let mut client = connect();
        client.envelope("a@sender.test", &["b@hop.test"]);
        // More than is kept in memory, so that a file is begun.
        let content = numbered(1, 2 << 20);
        client.write(&content[..1 << 20]);
        until("the file to be begun", || {
            let bodies = fs::read_dir(Path::new(SPOOL).join("bodies")).ok()?;
            (bodies.count() > 0).then_some(())
        });
        fill(0);
        client.write(&content[1 << 20..]);
        client.write(b".\r\n");
        assert_eq!(client.reply(), FULL);
        // In step: each command has its own answer, and nothing of the content is taken for one.
        client.expect("NOOP", 250);
        assert_eq!(client.send("MAIL FROM:<a@sender.test>"), FULL);
        assert_eq!(client.send("RCPT TO:<b@hop.test>").code, 503);
        // A client that doesn't wait for answers hears the same.
        client.write(&crlf("MAIL FROM:<a@sender.test>\nRCPT TO:<b@hop.test>\nDATA\nNOOP\n"));
        let codes =
            [client.reply().code, client.reply().code, client.reply().code, client.reply().code];
        assert_eq!(codes, [452, 503, 503, 250]);

        fs::remove_file(FILLER).expect("the disk is the test's");
        until_taken(&mut client);
        client.deliver("a@sender.test", &["b@hop.test"], &content);
        sink.one().must_be(&content, facteur_tests::GATEWAY);
        facteur.wait_until_empty();
        // Nothing of the half message is left.
        let left =
            fs::read_dir(Path::new(SPOOL).join("bodies")).expect("the folder of bodies").count();
        assert_eq!(left, 0, "files without a message");
    });
}
