//! What all benches share: the machine with the site's files, each of its tables 10,000 entries
//! longer, and how long to measure.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use facteur_tests::{Machine, Site};

use crate::floor::Floor;
use crate::sink::Sink;

/// How many entries more each table has than the site's own. A load has no more different
/// recipients.
pub const ENTRIES: usize = 10_000;
/// Mail of this sender is held by every server, by the same access table.
pub const HELD: &str = "held@example.org";
/// Mail of this one goes out.
pub const FLOWING: &str = "flowing@example.org";
/// With a number before it: an address of the virtual table that stands for one whose domain is in
/// a transport table.
pub const MEMBER: &str = "member@elfic.net";
/// With a number before it: an address of a domain that is relayed to a server that isn't there.
pub const DEAD: &str = "box@dead.via.ecp.fr";
/// With a number before it: an address of a domain that is relayed to a server that never says a
/// word.
pub const SILENT: &str = "box@silent.via.ecp.fr";
/// Where the next hop of every [`MEMBER`] listens.
const NEXT_HOP: &str = "192.0.2.39:25";
/// Where the ceiling listens.
const CEILING: &str = "203.0.113.200:25";
/// Where the floor listens.
const FLOOR: (&str, u16) = ("203.0.113.201", 25);
/// Access table: whose mail is held.
pub const HOLD_TABLE: &str = "/etc/facteur/hold";
/// What the benches need beside the site: servers (none of them in a network that the site trusts,
/// so that a client on the same address is a stranger), the ceiling, the dead and the silent one.
const MORE_ADDRESSES: [&str; 15] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.3",
    "203.0.113.4",
    "203.0.113.5",
    "203.0.113.6",
    "203.0.113.7",
    "203.0.113.8",
    "203.0.113.9",
    "203.0.113.10",
    "203.0.113.11",
    "203.0.113.200",
    "203.0.113.201",
    "192.0.2.98",
    "192.0.2.99",
];
const MORE_NAMES: &str = "dead.via.ecp.fr A 192.0.2.98\nsilent.via.ecp.fr A 192.0.2.99\n";

/// The machine and the settings of this run.
pub struct World<'a> {
    /// Where everything is.
    pub machine: &'a Machine,
    /// The site's files and its DNS.
    pub site: Site<'a>,
    /// Less of everything.
    pub short: bool,
    /// With the peers that take longer to fetch and to run.
    pub peers: bool,
}

impl<'a> World<'a> {
    /// Puts everything in its place.
    pub fn new(machine: &'a Machine, short: bool, peers: bool) -> Self {
        let site = Site::new(machine);
        machine.addresses(&MORE_ADDRESSES);
        site.dns.add(MORE_NAMES);
        machine.write(HOLD_TABLE, &format!("{HELD}\tHOLD\n"));
        lengthen("aliases", |number| format!("old{number}: louen"));
        lengthen("virtual.monassoce", |number| {
            format!("{number}{MEMBER}\tmember@club{number}.test")
        });
        let hop = NEXT_HOP.strip_suffix(":25").expect("the port of SMTP");
        // Clubs of recipients are half in the one table and half in the other.
        lengthen("transport.via", |number| format!("club{}.test\tsmtp:[{hop}]", 2 * number));
        lengthen("transport.monassoce", |number| {
            format!("club{}.test\tsmtp:[{hop}]", 2 * number - 1)
        });
        for (setting, value) in [
            // Each connection of a load leaves one in TIME_WAIT, and there are more of them than
            // ports.
            ("ip_local_port_range", "2000 65000"),
            ("tcp_tw_reuse", "1"),
            ("tcp_max_syn_backlog", "8192"),
        ] {
            fs::write(format!("/proc/sys/net/ipv4/{setting}"), value)
                .expect("root may set its own network up");
        }
        Self { machine, site, short, peers }
    }

    /// How long a turn should take.
    pub fn turn(&self) -> Duration {
        Duration::from_millis(self.sized(500, 3_000))
    }

    /// How many turns each has.
    pub fn rounds(&self) -> usize {
        self.sized(3, 7)
    }

    /// One of two sizes: of a short run and of a whole one.
    pub fn sized<T>(&self, short: T, whole: T) -> T {
        if self.short { short } else { whole }
    }

    /// Starts the next hop that counts.
    pub fn next_hop(&self) -> Sink {
        Sink::counting(self.machine, NEXT_HOP)
    }

    /// Starts what is as fast as this load can be taken.
    pub fn ceiling(&self) -> Sink {
        Sink::plain(self.machine, CEILING)
    }

    /// Starts what does the least that a server can do and keep its word.
    pub fn floor(&self) -> Floor {
        Floor::start(self.machine, FLOOR)
    }
}

/// Adds entries to a table of the site.
fn lengthen(table: &str, entry: impl Fn(usize) -> String) {
    let path = format!("/etc/facteur/{table}");
    let mut text = fs::read_to_string(&path).expect("a table of the site");
    for number in 1..=ENTRIES {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}", entry(number));
    }
    fs::write(path, text).expect("/etc is the machine's own");
}
