//! The site that budgets are counted on: the plugins that ship, each with a table, a mailbox, an
//! alias for it, a relay.
//!
//! Mail from [`HELD`] is held, so that what is counted ends with the message on the disk. Nothing
//! is asked of the DNS.

use std::path::Path;

/// The sender whose mail stays in the queue.
pub const HELD: &str = "held@sender.test";
/// Any other sender.
pub const SENDER: &str = "somebody@sender.test";
/// Has a mailbox.
pub const USER: &str = "louen@local.test";
/// Stands for [`USER`].
pub const ALIAS: &str = "prenom.nom@local.test";
/// Is known to nobody.
pub const UNKNOWN: &str = "nobody@local.test";
/// On another server, with a route of its own.
pub const RELAYED: &str = "somebody@relay.test";
/// On another server, for which nobody may relay but clients that are trusted.
pub const ELSEWHERE: &str = "somebody@elsewhere.test";

/// The configuration, with everything below one folder. `owner` is the user that mailboxes belong
/// to, if they don't belong to whoever runs the program.
pub fn configuration(listen: &str, folder: &Path, owner: Option<&str>) -> String {
    let folder = folder.display();
    let owner = owner.map(|owner| format!("owner = \"{owner}\"")).unwrap_or_default();
    format!(
        r#"
hostname = "budget.test"
[[listen]]
address = "{listen}"
[domains]
origin = "local.test"
local = ["local.test"]
relay = ["relay.test"]
[mailboxes]
users = "table:users"
path = "{folder}/mail/{{user}}/"
{owner}
[dns]
servers = ["127.0.0.1"]
[spool]
path = "{folder}/queue"
[networks]
trusted = ["127.0.0.0/8"]
[policy]
cache = "{folder}/compiled"
[tables.users]
inline = {{ louen = "" }}
[tables.senders]
inline = {{ "{HELD}" = "HOLD it is counted" }}
[tables.aliases]
inline = {{ "prenom.nom" = "louen" }}
[tables.routes]
inline = {{ "relay.test" = "smtp:[127.0.0.2]:25" }}
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["check_sender_access table:senders", "permit_mynetworks", "reject_unauth_destination"]
[plugin.grants]
relay = true
lookup = ["senders"]
[[plugin]]
name = "aliases"
component = "builtin:aliases"
[plugin.settings]
aliases = ["aliases"]
[plugin.grants]
lookup = ["aliases"]
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
[plugin.settings]
tables = ["routes"]
[plugin.grants]
lookup = ["routes"]
"#
    )
}

/// Content of about so many octets, in CRLF lines without a leading dot.
pub fn content(octets: usize) -> Vec<u8> {
    let line = format!("{}\r\n", "x".repeat(74));
    let headers = "From: a@example.org\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n\
                   Message-ID: <1@example.org>\r\nSubject: counted\r\n";
    format!("{headers}\r\n{}", line.repeat(octets / line.len())).into_bytes()
}
