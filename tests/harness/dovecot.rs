//! Dovecot as a peer: its auth service alone, from where it is unpacked.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::Machine;
use crate::process::Process;
use crate::programs::target_folder;
use crate::wait::until;

/// Where it listens for those who ask who somebody is.
pub const DOVECOT_SOCKET: &str = "/var/spool/dovecot/auth-smtp";
/// Its folder.
const FOLDER: &str = "/var/spool/dovecot";
/// Its users.
const USERS: &str = "/etc/dovecot/users";

/// A running Dovecot.
pub struct Dovecot {
    _process: Process,
}

impl Dovecot {
    /// Starts it with these mechanisms, and users as in passwd: `name:{SCHEME}password`.
    pub fn start(machine: &Machine, mechanisms: &str, users: &str) -> Self {
        let peer = target_folder().join("peers/dovecot-core");
        let libraries = libraries(&peer);
        let peer = peer.display();
        machine.write(USERS, users);
        fs::create_dir_all(FOLDER).expect("/var/spool is the test's");
        // Where its own programs look for it.
        let config = machine.write(
            "/etc/dovecot/dovecot.conf",
            &format!(
                "base_dir = {FOLDER}\n\
                 state_dir = {FOLDER}\n\
                 libexec_dir = {peer}/usr/lib/dovecot\n\
                 mail_plugin_dir = {peer}/usr/lib/dovecot/modules\n\
                 import_environment = TZ LD_LIBRARY_PATH={libraries}\n\
                 default_internal_user = root\n\
                 default_internal_group = root\n\
                 default_login_user = nobody\n\
                 log_path = /dev/stderr\n\
                 protocols =\n\
                 ssl = no\n\
                 disable_plaintext_auth = no\n\
                 auth_mechanisms = {mechanisms}\n\
                 auth_failure_delay = 0\n\
                 passdb {{\n driver = passwd-file\n args = {USERS}\n}}\n\
                 userdb {{\n driver = static\n args = uid=nobody gid=nogroup home=/\n}}\n\
                 service anvil {{\n unix_listener anvil-auth-penalty {{\n mode = 0\n }}\n}}\n\
                 service auth {{\n unix_listener auth-smtp {{\n mode = 0666\n }}\n}}\n"
            ),
        );
        let mut command = Command::new(format!("{peer}/usr/bin/doveconf"));
        command.env("LD_LIBRARY_PATH", &libraries).args(["-f", "service=master", "-c"]).arg(config);
        command.args(["-m", "master", "-e", &format!("{peer}/usr/sbin/dovecot"), "-F"]);
        let mut process = Process::start(machine.folder(), "dovecot", &mut command);
        until("Dovecot's auth socket", || {
            process.must_run();
            UnixStream::connect(DOVECOT_SOCKET).ok()
        });
        Self { _process: process }
    }
}

/// The folders of its libraries, and of what came with them.
fn libraries(peer: &Path) -> String {
    let own = ["usr/lib/dovecot", "usr/lib/dovecot/modules/old-stats"].map(|own| peer.join(own));
    let others = ["usr/lib", "lib"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(peer.join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| {
            path.ends_with("x86_64-linux-gnu") || path.ends_with("aarch64-linux-gnu")
        })
    });
    let all: Vec<PathBuf> = own.into_iter().chain(others).collect();
    let all: Vec<String> = all.iter().map(|folder| folder.display().to_string()).collect();
    all.join(":")
}
