//! A machine of the test's own: namespaces for the network, the mounts and the processes.
//!
//! The test starts itself once more under `unshare` and waits; the second run does the work. In
//! there it has every port and any address, users and `/etc` of its own, `/var/mail` and
//! `/var/spool` of its own, and the process id 1: when it ends, or is ended at its deadline, the
//! kernel ends everything that it started. As root nothing else is needed; other users get a user
//! namespace in which they stay themselves, and the machine's users all have their number.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{getegid, geteuid};
use tempfile::TempDir;

use crate::process::{Output, output_of};
use crate::programs::{peer, target_folder};
use crate::wait::found_within;

/// Says to the second run where its files are.
const INSIDE: &str = "FACTEUR_TEST_MACHINE";
/// How long a test may take unless it says otherwise.
const DEADLINE: Duration = Duration::from_mins(1);
/// What the second run writes.
const OWN_LOG: &str = "test.log";
/// The end of a log that is shown when a test fails, in bytes.
const SHOWN: usize = 64 * 1024;
/// The same where what was started writes to a person's terminal.
const SHOWN_THERE: usize = 2 * 1024;
/// The users of every machine, with their numbers: two people, and Postfix's.
const USERS: [(&str, u32); 3] = [("louen", 2001), ("admin", 2002), ("postfix", 2003)];
/// A group that Postfix asks for.
const GROUPS: [(&str, u32); 1] = [("postdrop", 2004)];
/// The group that owns /var/mail on Debian.
const MAIL_GROUP: u32 = 8;

/// The machine that a test runs on.
pub struct Machine {
    folder: PathBuf,
}

/// Runs a test on a machine of its own, for up to a minute. `test` must be a closure that is
/// written in the test function: its name says which test to start there.
pub fn machine<F: FnOnce(&Machine)>(test: F) {
    machine_within(DEADLINE, test);
}

/// [`machine`] with a deadline of the test's own.
pub fn machine_within<F: FnOnce(&Machine)>(deadline: Duration, test: F) {
    match std::env::var_os(INSIDE) {
        Some(folder) => test(&Machine::set_up(PathBuf::from(folder))),
        None => outside(&test_name::<F>(), deadline),
    }
}

/// Runs this program once more on a machine of its own, with the arguments that it has, and returns
/// whether it succeeded. There [`Machine::here`] is something. What it writes goes where this one's
/// goes; the end of the logs follows if it fails. It is ended after `deadline`, and when this one
/// ends.
pub fn again_on_machine(deadline: Duration) -> bool {
    let folder = new_folder();
    let mut command = on_new_machine(folder.path());
    // Never written to: its end is how the other one learns of ours.
    command.args(std::env::args_os().skip(1)).stdin(Stdio::piped());
    let mut child = Ended(command.spawn().expect("unshare is missing: apt-get install util-linux"));
    let ended = found_within(deadline, || child.0.try_wait().expect("a child can be asked for"));
    drop(child);
    if ended.is_none() {
        eprintln!("not done after {deadline:?}");
    }
    let succeeded = ended.is_some_and(|status| status.success());
    if !succeeded {
        eprint!("{}", logs(folder.path(), SHOWN_THERE));
    }
    succeeded
}

/// Ends this process, and with it the machine, as soon as the one who started it is gone.
fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

/// `system::rows::row_1::{{closure}}` → `rows::row_1`, as the test runner calls it. The thread has
/// that name too, but only where tests have threads of their own.
fn test_name<F>() -> String {
    let name = std::any::type_name::<F>();
    let name = name
        .strip_suffix("::{{closure}}")
        .expect("machine() takes a closure, written in the test function");
    name.split_once("::").expect("a test is in a crate").1.to_owned()
}

/// Starts the test again on a new machine, and ends as it ends.
fn outside(name: &str, deadline: Duration) {
    let folder = new_folder();
    let written = folder.path().join(OWN_LOG);
    let file = fs::File::create(&written).expect("the test's folder can be written");
    let mut command = on_new_machine(folder.path());
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1", "--include-ignored"])
        .stdin(Stdio::null());
    command.stdout(file.try_clone().expect("a file can be shared")).stderr(file);
    let child = command.spawn().expect("unshare is missing: apt-get install util-linux");
    let mut child = Ended(child);
    let read = || String::from_utf8_lossy(&fs::read(&written).unwrap_or_default()).into_owned();
    let ended = found_within(deadline, || child.0.try_wait().expect("a child can be asked for"));
    drop(child);
    let mut text = read();
    if !ended.is_some_and(|status| status.success()) {
        text.push_str(&logs(folder.path(), SHOWN));
    }
    match ended {
        // A name that no test has would run nothing, and succeed. What the test measured is in what
        // it wrote.
        Some(status) if status.success() && text.contains("1 passed") => print!("{text}"),
        Some(status) => panic!("on the test's machine ({status}):\n{text}"),
        None => panic!("not done after {deadline:?}:\n{text}"),
    }
}

/// For the files of a machine; removed when dropped.
fn new_folder() -> TempDir {
    let parent = target_folder().join("system-tests");
    fs::create_dir_all(&parent).expect("target/ can be written");
    tempfile::Builder::new().prefix("test-").tempdir_in(&parent).expect("target/ can be written")
}

/// This program, on a new machine with its files in `folder`.
fn on_new_machine(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !geteuid().is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(std::env::current_exe().expect("a program knows its own path")).env(INSIDE, folder);
    command
}

/// What the programs on the machine wrote, for the one who looks why the test failed.
fn logs(folder: &Path, most: usize) -> String {
    let names = |folder: &Path| {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
    };
    let mut files: Vec<PathBuf> =
        names(folder).filter(|path| path.extension().is_some_and(|ext| ext == "log")).collect();
    // Postfix logs into its queue.
    files.extend(names(&folder.join("var-spool")).map(|path| path.join("log")));
    files.sort();
    let mut text = String::new();
    for file in files.iter().filter(|file| !file.ends_with(OWN_LOG)) {
        let Ok(log) = fs::read(file) else { continue };
        let shown = &log[log.len().saturating_sub(most)..];
        let name = file.strip_prefix(folder).unwrap_or(file).display();
        // Writing to a String can't fail.
        let _ = write!(text, "──── {name}\n{}", String::from_utf8_lossy(shown));
    }
    text
}

/// A child that doesn't outlive this: with `--kill-child` neither does anything on its machine.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// The machine that [`again_on_machine`] started this program on, if it did.
    pub fn here() -> Option<Self> {
        let folder = std::env::var_os(INSIDE)?;
        end_with_parent();
        Some(Self::set_up(PathBuf::from(folder)))
    }

    fn set_up(folder: PathBuf) -> Self {
        let machine = Self { folder };
        machine.ip(&["link", "set", "lo", "up"]);
        if !geteuid().is_root() {
            fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
                .expect("this namespace's ports are ours");
        }
        machine.own_etc();
        machine.own_folder("/var/mail", 0o2775);
        machine.own_folder("/var/spool", 0o755);
        if geteuid().is_root() {
            std::os::unix::fs::chown("/var/mail", None, Some(MAIL_GROUP))
                .expect("root may give folders away");
        }
        machine
    }

    /// A copy of /etc in memory, with this machine's users and name server.
    fn own_etc(&self) {
        let copy = self.folder.join("etc");
        fs::create_dir(&copy).expect("the test's folder can be written");
        run("mount", [OsStr::new("-t"), "tmpfs".as_ref(), "tmpfs".as_ref(), copy.as_ref()])
            .success();
        // What only root may read isn't needed.
        run("cp", [OsStr::new("-a"), "/etc/.".as_ref(), copy.as_ref()]);
        run("mount", [OsStr::new("--bind"), copy.as_ref(), "/etc".as_ref()]).success();
        let (uid, gid) = (geteuid(), getegid());
        let number = |own: u32, of_root: u32| if uid.is_root() { of_root } else { own };
        let users = USERS.map(|(name, id)| {
            let (uid, gid) = (number(uid.as_raw(), id), number(gid.as_raw(), id));
            (name, format!("{name}:x:{uid}:{gid}::/nonexistent:/usr/sbin/nologin\n"))
        });
        add("/etc/passwd", &users);
        let groups = [&USERS[..], &GROUPS[..]].concat();
        let groups = groups
            .into_iter()
            .map(|(name, id)| (name, format!("{name}:x:{}:\n", number(gid.as_raw(), id))));
        add("/etc/group", &groups.collect::<Vec<_>>());
        self.write(
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
        );
        self.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
        self.write("/etc/hosts", "127.0.0.1 localhost\n");
    }

    fn own_folder(&self, place: &str, mode: u32) {
        let own = self.folder.join(place.trim_start_matches('/').replace('/', "-"));
        fs::create_dir(&own).expect("the test's folder can be written");
        fs::set_permissions(&own, fs::Permissions::from_mode(mode))
            .expect("an own folder can be changed");
        assert!(Path::new(place).is_dir(), "this machine has no {place}: create it");
        run("mount", [OsStr::new("--bind"), own.as_ref(), place.as_ref()]).success();
    }

    fn ip(&self, arguments: &[&str]) {
        let _ = self;
        let installed = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists());
        let program = installed.unwrap_or_else(|| peer("ip"));
        output_of(Command::new(program).args(arguments)).success();
    }

    /// Gives the machine addresses, of either kind.
    pub fn addresses(&self, addresses: &[&str]) {
        for address in addresses {
            if address.contains(':') {
                self.ip(&["addr", "add", &format!("{address}/128"), "dev", "lo", "nodad"]);
            } else {
                self.ip(&["addr", "add", &format!("{address}/32"), "dev", "lo"]);
            }
        }
    }

    /// Gives the machine all addresses of a network of IPv4: `198.18.0.0/16`.
    pub fn network(&self, network: &str) {
        self.ip(&["addr", "add", network, "dev", "lo"]);
    }

    /// The test's folder, for logs and the like; on a real disk, removed at the end.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new folder on a real disk that every user may read and write: `/var/spool/NAME`.
    pub fn open_folder(&self, name: &str) -> PathBuf {
        let path = Path::new("/var/spool").join(name);
        fs::create_dir_all(&path).expect("/var/spool is the test's");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))
            .expect("an own folder can be changed");
        path
    }

    /// Adds a user of this name and number, with a group of its own.
    pub fn add_user(&self, name: &str, id: u32) {
        let _ = self;
        add(
            "/etc/passwd",
            &[(name, format!("{name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n"))],
        );
        add("/etc/group", &[(name, format!("{name}:x:{id}:\n"))]);
    }

    /// Writes a file below /etc or /var/spool, with its folders.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = PathBuf::from(path);
        let folder = path.parent().expect("a file is in a folder");
        assert!(
            path.starts_with("/etc") || path.starts_with("/var/spool"),
            "{} isn't the test's",
            path.display()
        );
        fs::create_dir_all(folder).expect("the folder is the test's");
        // It may be a link to somewhere else.
        let _ = fs::remove_file(&path);
        fs::write(&path, text).expect("the folder is the test's");
        path
    }
}

/// Adds lines to a file of users or groups, in place of what has the same name.
fn add(file: &str, lines: &[(&str, String)]) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let is_new = |line: &&str| !lines.iter().any(|(name, _)| line.split(':').next() == Some(name));
    let old = text.split_inclusive('\n').filter(is_new);
    let new: String = old.chain(lines.iter().map(|(_, line)| line.as_str())).collect();
    fs::write(file, new).unwrap_or_else(|error| panic!("{file}: {error}"));
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> Output {
    output_of(Command::new(program).args(arguments))
}
