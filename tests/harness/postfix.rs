//! Postfix as a peer: an instance of its own, from where it is unpacked, with the configuration
//! that the test writes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::client::Client;
use crate::machine::Machine;
use crate::process::{Output, Process, output_of};
use crate::programs::{peer, postfix_folder};
use crate::wait::until;

/// The folders of its queue that belong to its own user.
const QUEUES: [&str; 11] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
    "saved", "trace",
];

/// The services that a mail server needs, without chroot. `{listen}` is the lines of its smtpd.
const SERVICES: &str = "\
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
verify    unix  -  -  n  -     1  verify
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
smtp      unix  -  -  n  -     -  smtp
relay     unix  -  -  n  -     -  smtp
showq     unix  n  -  n  -     -  showq
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
discard   unix  -  -  n  -     -  discard
local     unix  -  n  n  -     -  local
virtual   unix  -  n  n  -     -  virtual
lmtp      unix  -  -  n  -     -  lmtp
anvil     unix  -  -  n  -     1  anvil
scache    unix  -  -  n  -     1  scache
tlsmgr    unix  -  -  n  1000? 1  tlsmgr
postlog   unix-dgram n - n -   1  postlogd
";

/// A running Postfix. Its daemons end with their master, or with the machine.
pub struct Postfix {
    process: Process,
    config: PathBuf,
    queue: PathBuf,
}

impl Postfix {
    /// Starts an instance under a name (its files are in `/etc/NAME` and `/var/spool/NAME`) that
    /// listens on `ADDRESS:PORT`. `main` is main.cf but for the paths; `master` is lines for
    /// master.cf besides the usual ones. Tables that `main` names as `texthash:` need no postmap.
    pub fn start(machine: &Machine, name: &str, listen: &str, main: &str, master: &str) -> Self {
        assert!(geteuid().is_root(), "Postfix changes users: run the tests as root");
        let postfix = postfix_folder();
        let config = PathBuf::from("/etc").join(name);
        let queue = Path::new("/var/spool").join(name);
        let data = Path::new("/var/spool").join(format!("{name}-data"));
        // It takes the addresses of its interfaces for itself, and they are the next hops' too.
        let interface = listen.rsplit_once(':').map_or(listen, |(address, _)| address);
        let libraries = peer_libraries(&postfix);
        let mechanisms: Vec<_> =
            libraries.split(':').map(|folder| format!("{folder}/sasl2")).collect();
        machine.write(
            &config.join("main.cf").display().to_string(),
            &format!(
                "compatibility_level = 3.6\n\
                 queue_directory = {queue}\n\
                 data_directory = {data}\n\
                 command_directory = {postfix}/usr/sbin\n\
                 daemon_directory = {postfix}/usr/lib/postfix/sbin\n\
                 shlib_directory = {postfix}/usr/lib/postfix\n\
                 meta_directory = {postfix}/etc/postfix\n\
                 mail_owner = postfix\n\
                 setgid_group = postdrop\n\
                 default_privs = nobody\n\
                 import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE \
                 POSTLOG_HOSTNAME LD_LIBRARY_PATH={libraries} SASL_PATH={mechanisms}\n\
                 maillog_file = {queue}/log\n\
                 maillog_file_prefixes = /var/spool\n\
                 smtputf8_enable = no\n\
                 inet_protocols = all\n\
                 inet_interfaces = {interface}\n\
                 alias_maps =\n\
                 alias_database =\n\
                 {main}\n",
                queue = queue.display(),
                data = data.display(),
                postfix = postfix.display(),
                mechanisms = mechanisms.join(":"),
            ),
        );
        let services = format!("{listen} inet n - n - - smtpd\n{SERVICES}{master}\n");
        machine.write(&config.join("master.cf").display().to_string(), &services);
        make_queue(&queue, &data);
        let mut command = Command::new(peer("master"));
        command.arg("-c").arg(&config).arg("-d");
        let process = Process::start(machine.folder(), name, &mut command);
        let mut this = Self { process, config, queue };
        let from = if listen.starts_with('[') { "::1" } else { "127.0.0.1" };
        until(&format!("Postfix {name} on {listen}"), || {
            if let Some(status) = this.process.ended() {
                panic!("Postfix {name} ended ({status}):\n{}{}", this.process.log(), this.log());
            }
            Client::try_connect(from, listen).ok()
        });
        this
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.queue.join("log")).unwrap_or_default()
    }

    /// Runs one of its commands, such as `postqueue`, with its configuration.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        output_of(Command::new(peer(program)).arg("-c").arg(&self.config).args(arguments))
    }
}

fn peer_libraries(postfix: &Path) -> String {
    let folders = fs::read_dir(postfix.join("usr/lib"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let more =
        fs::read_dir(postfix.join("lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders: Vec<String> =
        folders.chain(more).filter(|path| path.is_dir()).map(|p| p.display().to_string()).collect();
    folders.join(":")
}

/// The folders of its queue, as `postfix set-permissions` makes them.
fn make_queue(queue: &Path, data: &Path) {
    let user = |name: &str| number("/etc/passwd", name);
    let (owner, drop) = (user("postfix"), number("/etc/group", "postdrop"));
    let make = |path: &Path, mode: u32, uid: u32, gid: u32| {
        fs::create_dir_all(path).expect("/var/spool is the test's");
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .expect("root may change folders");
        chown(path, Some(uid), Some(gid)).expect("root may give folders away");
    };
    make(queue, 0o755, 0, 0);
    make(data, 0o700, owner, 0);
    for name in QUEUES {
        make(&queue.join(name), 0o700, owner, 0);
    }
    make(&queue.join("maildrop"), 0o730, owner, drop);
    make(&queue.join("public"), 0o710, owner, drop);
    make(&queue.join("pid"), 0o755, 0, 0);
}

/// The number of a user or group.
fn number(file: &str, name: &str) -> u32 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.first() == Some(&name));
    line.and_then(|fields| fields.get(2)?.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {file}"))
}
