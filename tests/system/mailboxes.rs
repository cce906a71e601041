//! Mailboxes whose users, or whose file systems, mean harm: the mail of others flows.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use facteur_tests::{
    Client, Dns, Facteur, Gateway, Machine, letter, machine, maildir, output_of, until, within,
};

const SERVER: &str = "127.0.0.1:25";
/// More than mailboxes are written at once.
const MESSAGES: usize = 40;
/// Long for what takes milliseconds, and far from any timeout.
const PROMPT: Duration = Duration::from_secs(5);

fn start(machine: &Machine) -> Facteur {
    let config = Gateway::default().write(machine, "mailboxes");
    // Each extension is a destination of its own, and all lead to one mailbox.
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[domains]\n", "[domains]\ndelimiter = \"+\"\n")).unwrap();
    Facteur::start(machine, &config)
}

fn send(to: &[&str]) {
    let mut client = Client::connect("127.0.0.1", SERVER);
    client.ehlo();
    client.deliver("a@sender.test", to, &letter("to a mailbox"));
}

/// All of louen's extensions.
fn flood() {
    let all: Vec<String> =
        (0..MESSAGES).map(|number| format!("louen+{number}@local.test")).collect();
    send(&all.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Another user's mail arrives promptly, of which there have been so many.
fn others_get_mail(count: usize) {
    let started = Instant::now();
    send(&["admin@local.test"]);
    within(PROMPT, "admin's mail", || {
        let new = fs::read_dir("/var/mail/admin/new").ok()?;
        (new.count() == count).then_some(())
    });
    println!("admin's mail took {:?}", started.elapsed());
}

#[test]
fn what_a_user_puts_in_place_of_a_folder_stops_nobody() {
    machine(|machine| {
        let _dns = Dns::start("127.0.0.1", "");
        let facteur = start(machine);
        send(&["louen@local.test", "admin@local.test"]);
        maildir("/var/mail/louen", 1);
        maildir("/var/mail/admin", 1);
        let (new, kept) = (Path::new("/var/mail/louen/new"), Path::new("/var/mail/louen/kept"));
        fs::rename(new, kept).unwrap();
        let attacks: [(&str, &dyn Fn()); 4] = [
            ("a FIFO", &|| drop(output_of(Command::new("mkfifo").arg(new)))),
            ("a link to a FIFO", &|| {
                drop(output_of(Command::new("mkfifo").arg("/var/mail/louen/fifo")));
                symlink("/var/mail/louen/fifo", new).unwrap();
            }),
            ("a link to itself", &|| symlink(new, new).unwrap()),
            ("a folder that nobody may enter", &|| {
                fs::create_dir(new).unwrap();
                fs::set_permissions(new, fs::Permissions::from_mode(0o000)).unwrap();
            }),
        ];
        for (number, (name, attack)) in attacks.into_iter().enumerate() {
            println!("{name}");
            attack();
            flood();
            others_get_mail(number + 2);
            until("louen's mail to be deferred", || {
                let queued = facteur.queued();
                let mut all = queued.iter().flat_map(|entry| &entry.recipients);
                (queued.len() == number + 1 && all.all(|one| one.attempts > 0)).then_some(())
            });
            let _ = fs::remove_file(new).or_else(|_| fs::remove_dir(new));
        }
        // What was there before is there again, and all of the mail comes.
        fs::rename(kept, new).unwrap();
        facteur.queue(&["flush", "--all"]);
        facteur.wait_until_empty();
        maildir("/var/mail/louen", 1 + 4 * MESSAGES);
    });
}

/// A file system that doesn't answer whoever opens a file in this folder: somebody is to say
/// whether they may, and doesn't.
struct Hangs(Child);

impl Hangs {
    fn start(folder: &Path, ready: &Path) -> Self {
        let script = "
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.fanotify_mark.argtypes = [
    ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
CONTENT, ADD, OPEN_PERM, ON_CHILD, CWD = 4, 1, 0x10000, 0x8000000, -100
group = libc.fanotify_init(CONTENT, os.O_RDONLY)
marked = libc.fanotify_mark(group, ADD, OPEN_PERM | ON_CHILD, CWD, sys.argv[1].encode())
assert group >= 0 and marked == 0, os.strerror(ctypes.get_errno())
open(sys.argv[2], 'w').close()
time.sleep(300)
";
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(folder).arg(ready).stdin(Stdio::null());
        let child = python.spawn().expect("python3 is there");
        until("the folder to hang", || ready.exists().then_some(()));
        Self(child)
    }
}

impl Drop for Hangs {
    /// Whoever waits may go on.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_mailbox_that_hangs_stops_nobody() {
    machine(|machine| {
        if !rustix::process::geteuid().is_root() {
            // Only root may hold up others so.
            return;
        }
        let _dns = Dns::start("127.0.0.1", "");
        let facteur = start(machine);
        send(&["louen@local.test", "admin@local.test"]);
        maildir("/var/mail/louen", 1);
        maildir("/var/mail/admin", 1);
        let ready: PathBuf = machine.folder().join("hangs");
        let hangs = Hangs::start(Path::new("/var/mail/louen/tmp"), &ready);
        flood();
        for count in 2..5 {
            others_get_mail(count);
        }
        until("louen's alone to be left", || (facteur.queued().len() == 1).then_some(()));
        drop(hangs);
        facteur.wait_until_empty();
        maildir("/var/mail/louen", 1 + MESSAGES);
    });
}
