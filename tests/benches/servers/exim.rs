//! Exim, with the site's job in its own words: ACLs, a redirect router, manual routes. Its tables
//! are those that postmap made for Postfix, which is the quickest kind that both read.

use std::fs;
use std::process::Command;

use facteur_tests::{Client, Process, peer, target_folder, within};

use super::{START, Server, emptied};
use crate::processes::Processes;
use crate::world::World;

const ADDRESS: &str = "203.0.113.4:25";
const SPOOL: &str = "/var/spool/bench-exim";
/// The user that it is built for.
const USER: (&str, u32) = ("Debian-exim", 2101);
/// `{program}` is its path.
const CONFIGURATION: &str = r"
primary_hostname = sulfura.via.ecp.fr
exim_path = {program}
keep_environment = LD_LIBRARY_PATH
spool_directory = /var/spool/bench-exim
split_spool_directory = yes
log_file_path = /var/spool/bench-exim/log/%slog
local_interfaces = 203.0.113.4
daemon_smtp_ports = 25
domainlist ours = elfic.net : via.ecp.fr : *.via.ecp.fr : lepi.org : bde-ecp.com : gala-centrale.com
hostlist trusted = 127.0.0.0/8 : 138.195.128.0/24
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
deliver_drop_privilege = yes
message_size_limit = 0
# What a load like this needs.
smtp_accept_max = 3000
smtp_accept_max_per_host =
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 1024
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt

begin acl
mail:
  warn condition = ${if eq{${lookup{${lc:$sender_address}}dbm{/etc/facteur/hold.db}}}{HOLD}}
       control = freeze/no_tell
  accept
rcpt:
  accept hosts = +trusted
  require message = relay not permitted
          domains = +ours
  require verify = recipient
  accept

begin routers
virtual:
  driver = redirect
  domains = elfic.net
  data = ${lookup{${lc:$local_part@$domain}}dbm{/etc/facteur/virtual.monassoce.db}{$value}\
         {${lookup{@$domain}dbm{/etc/facteur/virtual.monassoce.db}}}}
via:
  driver = manualroute
  domains = dbm;/etc/facteur/transport.via.db
  route_data = ${sg{$domain_data}{^smtp:\\[(.*)]\$}{\$1}}
  transport = smtp
  self = send
monassoce:
  driver = manualroute
  domains = dbm;/etc/facteur/transport.monassoce.db
  route_data = ${sg{$domain_data}{^smtp:\\[(.*)]\$}{\$1}}
  transport = smtp
  self = send

begin transports
smtp:
  driver = smtp
  allow_localhost
  hosts_try_dane =
  hosts_avoid_tls = *

begin retry
* * F,5d,4000s
";

/// A running Exim.
pub struct Exim {
    _server: Process,
    processes: Processes,
}

impl Exim {
    /// Starts it. Postfix must have made its tables.
    pub fn site(world: &World) -> Self {
        let program = target_folder().join("peers/exim4-daemon-light/usr/sbin/exim4");
        assert!(
            program.is_file(),
            "{} is missing: run `cargo xtask bench --peers`",
            program.display()
        );
        world.machine.add_user(USER.0, USER.1);
        let text = CONFIGURATION.replace("{program}", &program.display().to_string());
        world.machine.write("/etc/exim4/exim4.conf", &text);
        // What an earlier bench left.
        let _ = fs::remove_dir_all(SPOOL);
        fs::create_dir(SPOOL).expect("/var/spool is the machine's own");
        std::os::unix::fs::chown(SPOOL, Some(USER.1), Some(USER.1))
            .expect("root may give folders away");
        let (processes, server) = Processes::of("exim", || {
            let mut command = Command::new(peer("exim4"));
            command.args(["-bdf", "-oP", "/var/spool/bench-exim/pid"]);
            let mut server = Process::start(world.machine.folder(), "bench-exim", &mut command);
            within(START, "Exim", || {
                server.must_run();
                Client::try_connect("127.0.0.1", ADDRESS).ok()
            });
            server
        });
        Self { _server: server, processes }
    }
}

impl Server for Exim {
    fn name(&self) -> &'static str {
        "Exim"
    }

    fn address(&self) -> &'static str {
        ADDRESS
    }

    fn processes(&self) -> &Processes {
        &self.processes
    }

    fn clear(&self) -> usize {
        emptied(format!("{SPOOL}/input").as_ref(), |name| name.ends_with("-H"))
    }
}
