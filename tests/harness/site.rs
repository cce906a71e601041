//! The site of `tests/site`: the mail server of a student network, with the names and addresses
//! around it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clamd::Clamd;
use crate::client::Client;
use crate::dns::Dns;
use crate::facteur::Facteur;
use crate::machine::Machine;
use crate::postfix::Postfix;
use crate::smtp_sink::SmtpSink;

/// Where the main server listens.
pub const SULFURA: &str = "138.195.128.45:25";
/// A client in the networks that the server trusts.
pub const TRUSTED: &str = "138.195.128.10";
/// A client somewhere in the world.
pub const STRANGER: &str = "203.0.113.25";
/// The configuration of the main server, on the test's machine.
pub const SITE: &str = "/etc/facteur/facteur.toml";
/// The configuration of a satellite.
pub const SATELLITE: &str = "/etc/facteur/satellite.toml";

/// The addresses of the hosts around.
const ADDRESSES: [&str; 12] = [
    "138.195.128.45",
    TRUSTED,
    STRANGER,
    "138.195.130.20",
    "192.0.2.31",
    "192.0.2.39",
    "192.0.2.41",
    "192.0.2.42",
    "192.0.2.51",
    "192.0.2.61",
    "192.0.2.62",
    "192.0.2.66",
];

/// The names around. Whatever leads to wrong.example.net must not be asked for mail.
const NAMES: &str = "
sulfura.via.ecp.fr        A   138.195.128.45
zen.via.ecp.fr            A   138.195.130.20
zen.via.ecp.fr            MX  10 wrong.example.net
via.ecp.fr                MX  10 wrong.example.net
sub.via.ecp.fr            MX  10 mx.sub.via.ecp.fr
mx.sub.via.ecp.fr         A   192.0.2.51
student.ecp.fr            MX  10 wrong.example.net
student-mx.ecp.fr         MX  10 mx1.student.ecp.fr
student-mx.ecp.fr         A   192.0.2.39
mx1.student.ecp.fr        A   192.0.2.31
bde-ecp.com               MX  10 wrong.example.net
mail.bde-ecp.com          A   192.0.2.41
lepi.org                  MX  10 wrong.example.net
mail.lepi.org             A   192.0.2.42
gala-centrale.com         MX  10 wrong.example.net
example.org               MX  20 mx2.example.org
example.org               MX  10 mx1.example.org
mx1.example.org           A   192.0.2.61   # nobody listens there
mx2.example.org           A   192.0.2.62
wrong.example.net         A   192.0.2.66
example.net               MX  10 wrong.example.net
stranger.example.net      A   203.0.113.25
25.113.0.203.in-addr.arpa PTR stranger.example.net
";

/// The tables that [`Site::postfix_settings`] names.
pub const POSTFIX_TABLES: [&str; 4] = [
    "/etc/aliases.texthash",
    "/etc/facteur/transport.via",
    "/etc/facteur/transport.monassoce",
    "/etc/facteur/virtual.monassoce",
];

/// The settings of the Postfix that facteur takes over from.
const MAIN: &str = "
myhostname = sulfura.via.ecp.fr
mydomain = via.ecp.fr
myorigin = via.ecp.fr
mydestination = $myhostname, sulfura, localhost.$mydomain, localhost, localhost.localdomain
mynetworks = 127.0.0.0/8 [::1]/128 138.195.128.0/24
smtpd_client_restrictions = permit_mynetworks
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
# As it was before there was this one.
smtpd_relay_restrictions =
relay_domains = $mydestination, $mydomain, lepi.org, bde-ecp.com, gala-centrale.com
alias_maps = texthash:/etc/aliases.texthash
transport_maps = texthash:/etc/facteur/transport.via, texthash:/etc/facteur/transport.monassoce
virtual_alias_domains = elfic.net
virtual_alias_maps = texthash:/etc/facteur/virtual.monassoce
# Clients on this very machine stand for others.
local_header_rewrite_clients =
";

/// The machine with the site's files where the configuration looks for them, and the DNS around.
pub struct Site<'a> {
    /// The machine it is on.
    pub machine: &'a Machine,
    /// The DNS.
    pub dns: Dns,
}

impl<'a> Site<'a> {
    /// Puts everything in its place; nothing runs yet but the DNS.
    pub fn new(machine: &'a Machine) -> Self {
        machine.addresses(&ADDRESSES);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("site");
        for file in fs::read_dir(&source).expect("tests/site is there") {
            let file = file.expect("a folder can be listed").path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).expect("the site's files are text");
            let folder = if name == "annonces.list" { "/etc/mail" } else { "/etc/facteur" };
            machine.write(&format!("{folder}/{name}"), &text);
        }
        Self { machine, dns: Dns::start("127.0.0.1", NAMES) }
    }

    /// Starts facteur as the main server.
    pub fn sulfura(&self) -> Facteur {
        Facteur::start(self.machine, Path::new(SITE))
    }

    /// Starts the site's virus scanner.
    pub fn scanner(&self) -> Clamd {
        Clamd::start(self.machine, "clamav", "")
    }

    /// Starts facteur as the main server with the scanner in its configuration; whether that runs
    /// is the test's to say.
    pub fn scanning_sulfura(&self) -> Facteur {
        let scanning =
            fs::read_to_string("/etc/facteur/scanning.toml").expect("the site has a scanner");
        self.edit("facteur.toml", |text| text + &scanning);
        self.sulfura()
    }

    /// Starts a next hop, a smtp-sink, by the name of its host.
    pub fn hop(&self, host: &str) -> SmtpSink {
        SmtpSink::start(self.machine, host, Self::address(host), &[])
    }

    /// Where a host's SMTP server listens.
    pub fn address(host: &str) -> &'static str {
        match host {
            "zen.via.ecp.fr" => "138.195.130.20:25",
            "mx1.student.ecp.fr" => "192.0.2.31:25",
            "mail.bde-ecp.com" => "192.0.2.41:25",
            "mail.lepi.org" => "192.0.2.42:2525",
            "mx.sub.via.ecp.fr" => "192.0.2.51:25",
            "mx2.example.org" => "192.0.2.62:25",
            "wrong.example.net" => "192.0.2.66:25",
            _ => panic!("{host} has no place on this site"),
        }
    }

    /// Starts a second facteur, a plain one that has the mailboxes of `domain` under
    /// `/var/spool/HOST-mail`, for the machine's users.
    pub fn facteur_hop(&self, host: &str, domain: &str) -> (Facteur, PathBuf) {
        let address = Self::address(host);
        let mail = self.machine.open_folder(&format!("{host}-mail"));
        let config = format!(
            r#"
hostname = "{host}"
[[listen]]
address = "{address}"
[domains]
origin = "{domain}"
local = ["{domain}"]
[mailboxes]
users = "system"
path = "{mail}/{{user}}/"
[dns]
servers = ["127.0.0.1"]
[spool]
path = "/var/spool/{host}"
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["reject_unauth_destination"]
"#,
            mail = mail.display(),
        );
        let config = self.machine.write(&format!("/etc/{host}/facteur.toml"), &config);
        (Facteur::start(self.machine, &config), mail)
    }

    /// Starts the Postfix that the site has run so far, with the same tables, on another address.
    pub fn postfix(&self, listen: &str) -> Postfix {
        Postfix::start(self.machine, "postfix", listen, &self.postfix_settings("texthash"), "")
    }

    /// The settings of the Postfix that the site has run so far, with tables of this kind:
    /// `texthash`, or `hash` for those who run postmap on [`POSTFIX_TABLES`].
    pub fn postfix_settings(&self, kind: &str) -> String {
        // Postfix reads aliases from a compiled file only, unless they look like a table.
        let aliases = fs::read_to_string("/etc/facteur/aliases").expect("the site has aliases");
        let name_ends = |line: &str| line.find(':').filter(|_| !line.starts_with(['#', ' ', '\t']));
        let without_colon = |line: &str| match name_ends(line) {
            Some(at) => format!("{}{}\n", &line[..at], &line[at + 1..]),
            None => format!("{line}\n"),
        };
        let table: String = aliases.lines().map(without_colon).collect();
        self.machine.write(POSTFIX_TABLES[0], &table.to_lowercase());
        MAIN.replace("texthash:", &format!("{kind}:"))
    }

    /// Changes a file of the site as an editor does: a new file takes the old one's name.
    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = Path::new("/etc/facteur").join(name);
        let old =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let new = path.with_extension("new");
        fs::write(&new, change(old)).expect("/etc is the test's");
        fs::rename(&new, &path).expect("/etc is the test's");
    }

    /// A session of the main server with a client from outside, after EHLO.
    pub fn stranger(&self) -> Client {
        Self::session(STRANGER)
    }

    /// A session of the main server with a client of its own network, after EHLO.
    pub fn trusted(&self) -> Client {
        Self::session(TRUSTED)
    }

    fn session(from: &str) -> Client {
        let mut client = Client::connect(from, SULFURA);
        client.ehlo();
        client
    }
}
