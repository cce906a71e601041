//! A plain configuration of facteur between its peers: clients on loopback may send to anywhere,
//! the machine's users have mailboxes.

use std::path::PathBuf;

use crate::machine::Machine;

/// The domain of the mailboxes: `louen@local.test`.
pub const LOCAL: &str = "local.test";
/// The name of the server.
pub const GATEWAY: &str = "gateway.test";

/// What differs from test to test. The start is [`Gateway::default`].
pub struct Gateway<'a> {
    /// `ADDRESS:PORT`.
    pub listen: &'a str,
    /// The folder of the queue.
    pub spool: &'a str,
    /// The folder of the mailboxes.
    pub mail: &'a str,
    /// Lines of `[listen.limits]`.
    pub limits: &'a str,
    /// Octets of `spool.reserve`.
    pub reserve: &'a str,
    /// The transport map: `("*", "smtp:[127.0.0.2]:25")`. What it doesn't name goes by MX.
    pub routes: &'a [(&'a str, &'a str)],
    /// More sections, such as `[queue]` and `[smtp]`.
    pub more: &'a str,
}

impl Default for Gateway<'_> {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:25",
            spool: "/var/spool/facteur",
            mail: "/var/mail",
            limits: "",
            reserve: "16MiB",
            routes: &[],
            more: "",
        }
    }
}

impl Gateway<'_> {
    /// Writes it to `/etc/NAME/facteur.toml`.
    pub fn write(&self, machine: &Machine, name: &str) -> PathBuf {
        let Self { listen, spool, mail, limits, reserve, more, .. } = self;
        let routes: Vec<String> =
            self.routes.iter().map(|(key, route)| format!("\"{key}\" = \"{route}\"")).collect();
        let routes = routes.join(", ");
        let text = format!(
            r#"
hostname = "{GATEWAY}"
[[listen]]
address = "{listen}"
[listen.limits]
{limits}
[domains]
origin = "{LOCAL}"
local = ["{LOCAL}"]
[mailboxes]
users = "system"
path = "{mail}/{{user}}/"
[dns]
servers = ["127.0.0.1"]
[spool]
path = "{spool}"
reserve = "{reserve}"
[networks]
trusted = ["127.0.0.0/8"]
[policy]
cache = "/var/spool/compiled"
[tables.routes]
inline = {{ {routes} }}
{more}
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["permit_mynetworks", "reject_unauth_destination"]
[plugin.grants]
relay = true
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
[plugin.settings]
tables = ["routes"]
[plugin.grants]
lookup = ["routes"]
"#
        );
        machine.write(&format!("/etc/{name}/facteur.toml"), &text)
    }
}
