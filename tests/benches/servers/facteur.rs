//! facteur, with the configuration of the site: one for all rates. What differs from it is here.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use facteur_tests::{SITE, run_facteur};

use super::{Server, file_name};
use crate::processes::{Processes, kib};
use crate::world::World;

/// Where it takes mail, where only one of it runs.
const ADDRESS: &str = "203.0.113.1:25";
/// What the site's restrictions have besides: the list that holds mail, as the other servers have
/// it.
const HOLDING: [(&str, &str); 2] = [
    ("client = [\"permit_mynetworks\"]", "sender = [\"check_sender_access table:hold\"]"),
    ("relay = true", "lookup = [\"hold\"]"),
];
/// A plugin that is asked at MAIL and at RCPT, and has no objection.
const CONTENT_WITH_ALL: &str = r#"
component = "builtin:restrictions"
[plugin.settings]
sender = ["reject_non_fqdn_sender"]
recipient = ["reject_non_fqdn_recipient"]
"#;

/// Which plugins there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// None: what the host refuses by itself.
    None,
    /// The site's three: restrictions, aliases, transport-map.
    Site,
    /// A fourth one before the site's.
    Four,
    /// The site's in the chain, and so many more that are loaded and not asked.
    Beside(usize),
}

/// A running facteur.
pub struct Facteur {
    name: String,
    address: String,
    /// The server. Before its processes, so that it is ended before the rest of them is killed.
    pub server: facteur_tests::Facteur,
    processes: Processes,
}

impl Facteur {
    /// Starts it with the site's policy.
    pub fn site(world: &World) -> Self {
        Self::start(world, "facteur", ADDRESS, Policy::Site)
    }

    /// The same with these sections of certificates.
    pub fn under_tls(world: &World, certificates: &str) -> Self {
        Self::start_with(world, "facteur", ADDRESS, Policy::Site, certificates)
    }

    /// Starts one of several, each with a queue of its own.
    pub fn start(world: &World, name: &str, address: &str, policy: Policy) -> Self {
        Self::start_with(world, name, address, policy, "")
    }

    fn start_with(world: &World, name: &str, address: &str, policy: Policy, more: &str) -> Self {
        let file = format!("bench-{}", file_name(name));
        let spool = format!("/var/spool/{file}");
        // What an earlier bench left.
        let _ = fs::remove_dir_all(&spool);
        let config = world.machine.write(
            &format!("/etc/facteur/{file}.toml"),
            &(configuration(address, &spool, policy) + more),
        );
        run_facteur(&config, &["check"]).success();
        let (processes, server) =
            Processes::of(&file, || facteur_tests::Facteur::start(world.machine, &config));
        Self { name: name.to_owned(), address: address.to_owned(), server, processes }
    }

    /// Starts it again after its end; returns how long it took until it was ready.
    pub fn restart(&mut self) -> Duration {
        let started = Instant::now();
        let (processes, ()) = Processes::of("again", || self.server.restart());
        self.processes = processes;
        started.elapsed()
    }

    /// A line of /proc/PID/status in KiB: `VmRSS` is what it has now, `VmHWM` the most that it had.
    pub fn status(&self, line: &str) -> u64 {
        let text =
            fs::read_to_string(format!("/proc/{}/status", self.server.pid())).expect("it runs");
        kib(&text, line).unwrap_or_else(|| panic!("no {line} in {text}"))
    }

    /// Makes `VmHWM` begin anew.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5")
            .expect("root may reset the peak");
    }
}

impl Server for Facteur {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn processes(&self) -> &Processes {
        &self.processes
    }

    fn clear(&self) -> usize {
        // "12 messages".
        let said = self.server.queue(&["delete", "--all"]);
        said.split(' ')
            .next()
            .and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("no count: {said}"))
    }
}

/// The site's file with another address, queue and policy, and with limits that let the loads in.
fn configuration(address: &str, spool: &str, policy: Policy) -> String {
    let site = fs::read_to_string(SITE).expect("the site's configuration is there");
    let (_, rest) = site.split_once("[domains]").expect("the site has domains");
    let (settings, plugins) = rest.split_once("[[plugin]]").expect("the site has plugins");
    let settings = replaced(settings, "/var/spool/facteur", spool);
    let plugins = HOLDING.iter().fold(format!("[[plugin]]{plugins}"), |text, (after, line)| {
        replaced(&text, after, &format!("{after}\n{line}"))
    });
    let (chain, plugins) = match policy {
        Policy::None => (String::new(), String::new()),
        Policy::Site => (String::new(), plugins),
        Policy::Four => {
            (String::new(), format!("[[plugin]]\nname = \"fourth\"{CONTENT_WITH_ALL}{plugins}"))
        }
        Policy::Beside(count) => {
            let mut all = plugins;
            for number in 1..=count {
                // Writing to a String can't fail.
                let _ = write!(all, "[[plugin]]\nname = \"beside-{number}\"{CONTENT_WITH_ALL}");
            }
            ("chain = [\"aliases\", \"transport-map\", \"restrictions\"]".to_owned(), all)
        }
    };
    format!(
        r#"
hostname = "sulfura.via.ecp.fr"
[[listen]]
address = "{address}"
{chain}
[listen.limits]
connections = 20000
client-connections = 20000
message-size = "64MiB"
[queue]
# Nothing is tried a second time while it is measured.
minimal-backoff = "4000s"
[policy]
cache = "/var/spool/compiled"
[tables.hold]
file = "hold"
[domains]{settings}{plugins}"#
    )
}

/// Replaces what must be there once.
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} in the site's configuration:\n{text}");
    text.replace(old, new)
}
