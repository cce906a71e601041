//! Postfix, with the settings of the site, the same tables in the kind of table it is fastest with,
//! and what had to be raised for a load like this.

use std::process::Command;

use facteur_tests::{POSTFIX_TABLES, output_of, peer, postfix_folder};

use super::{Server, file_name};
use crate::processes::Processes;
use crate::world::{HOLD_TABLE, World};

/// Where it takes mail.
const ADDRESS: &str = "203.0.113.2:25";
/// Beside the site's settings. The table is asked in the sender's list, as facteur's restrictions
/// ask it.
const RAISED: &str = "
smtpd_sender_restrictions = check_sender_access hash:/etc/facteur/hold
# facteur asks for a client's name only if a restriction does.
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
default_process_limit = 3000
qmgr_message_active_limit = 20000
qmgr_message_recipient_limit = 20000
message_size_limit = 0
mailbox_size_limit = 0
";

/// A running Postfix.
pub struct Postfix {
    name: &'static str,
    address: &'static str,
    // Before its processes, so that it is ended before the rest of them is killed.
    server: facteur_tests::Postfix,
    processes: Processes,
}

impl Postfix {
    /// Starts it as the site has it.
    pub fn site(world: &World) -> Self {
        Self::start(world, "Postfix", ADDRESS, &[])
    }

    /// The same with more settings.
    pub fn under_tls(world: &World, more: &str) -> Self {
        Self::start_with(world, "Postfix", ADDRESS, &[], more)
    }

    /// Starts one of several, each with a queue of its own and with these milters.
    pub fn start(
        world: &World,
        name: &'static str,
        address: &'static str,
        milters: &[&str],
    ) -> Self {
        Self::start_with(world, name, address, milters, "")
    }

    fn start_with(
        world: &World,
        name: &'static str,
        address: &'static str,
        milters: &[&str],
        more: &str,
    ) -> Self {
        let settings = world.site.postfix_settings("hash");
        let libraries =
            format!("shlib_directory = {}/usr/lib/postfix\n", postfix_folder().display());
        world
            .machine
            .write("/etc/postfix/main.cf", &format!("compatibility_level = 3.6\n{libraries}"));
        for table in POSTFIX_TABLES.into_iter().chain([HOLD_TABLE]) {
            output_of(Command::new(peer("postmap")).arg(format!("hash:{table}"))).success();
        }
        let milters: Vec<String> =
            milters.iter().map(|address| format!("inet:{address}")).collect();
        let settings = format!("{settings}{RAISED}smtpd_milters = {}\n{more}", milters.join(", "));
        let instance = format!("bench-{}", file_name(name));
        let start =
            || facteur_tests::Postfix::start(world.machine, &instance, address, &settings, "");
        let (processes, server) = Processes::of(&instance, start);
        Self { name, address, server, processes }
    }
}

impl Server for Postfix {
    fn name(&self) -> &str {
        self.name
    }

    fn address(&self) -> &str {
        self.address
    }

    fn processes(&self) -> &Processes {
        &self.processes
    }

    fn clear(&self) -> usize {
        // "postsuper: Deleted: 12 messages".
        let said = self.server.run("postsuper", &["-d", "ALL"]).err;
        let count =
            said.split("Deleted: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        count.unwrap_or_else(|| panic!("no count: {said}"))
    }
}
