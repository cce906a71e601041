//! The configuration: one TOML file becomes one typed, checked value.
//!
//! All that is wrong is told at once, each error with its place and its mend. Every default is
//! named where its field is. Reading the configuration opens no other file and looks up no name:
//! what is wrong with tables and plugins is told by those who open them.

mod auth;
mod counters;
mod decisions;
mod delivery;
#[cfg(test)]
mod documented;
mod domains;
pub mod endpoint;
mod error;
mod folder;
mod listen;
mod mailboxes;
mod network;
mod plugin;
mod queue;
mod reader;
mod report;
mod scanner;
mod service;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod tls_policy;
mod units;
mod verify;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use facteur_policy::Domains;
use toml::de::DeTable;

pub use auth::{Auth, AuthSource};
pub use counters::CounterStore;
pub use decisions::DecisionsSettings;
pub use delivery::{Delivery, DeliveryTls};
pub use error::{ConfigError, render};
pub use folder::Folder;
pub use listen::{ClientLimits, Listen, ListenKind, ListenLimits};
pub use mailboxes::{MailboxPath, Mailboxes, Users};
pub(crate) use network::network;
pub use network::{Dns, Networks, contains, one_client};
pub use plugin::{BUILTINS, Component, Plugin, PolicySettings};
pub use queue::{Queue, SmtpClient, SmtpTimeouts};
use reader::{Section, Value};
use report::{Kind, Report};
pub use scanner::Scanner;
pub use service::Service;
pub use table::{Format, TableSource};
pub use tls::{CertificateFiles, Tls, TlsMode};
pub use tls_policy::{Fingerprint, NamePattern, TlsLevel, TlsPolicy, TlsPolicyError, TlsVersions};
pub use verify::Verify;

use crate::whole;

/// The configuration of a first start: mail for `localhost`, by the built-in plugins, with
/// everything in the folder of its file.
const DEMO: &str = include_str!("demo.toml");
/// The line of it in which root must name a user, and the line that does.
const OWNER: (&str, &str) = ("# owner = \"vmail\"", "owner = \"nobody\"");

/// No configuration is larger than this; tables have files of their own.
const MAX_FILE: u64 = 16 << 20;

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// The host's full name, as it is said on the wire (A-labels). Must be given.
    pub hostname: String,
    /// `[[listen]]`: at least one.
    pub listen: Vec<Listen>,
    /// `[tls]`.
    pub tls: Tls,
    /// `[auth]`.
    pub auth: Auth,
    /// `[domains]`.
    pub domains: Domains,
    /// `[mailboxes]`.
    pub mailboxes: Mailboxes,
    /// `[dns]`.
    pub dns: Dns,
    /// `[spool]`.
    pub spool: Spool,
    /// `[networks]`.
    pub networks: Networks,
    /// `[queue]`.
    pub queue: Queue,
    /// `[smtp]`: the client.
    pub smtp: SmtpClient,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
    /// `[decisions]`.
    pub decisions: DecisionsSettings,
    /// `[policy]`.
    pub policy: PolicySettings,
    /// `[tables]`, by name.
    pub tables: BTreeMap<String, TableSource>,
    /// `[verify]`.
    pub verify: Verify,
    /// `[scanners]`, by name.
    pub scanners: BTreeMap<String, Scanner>,
    /// `[counters]`, by name.
    pub counters: BTreeMap<String, CounterStore>,
    /// `[folders]`, by name.
    pub folders: BTreeMap<String, Folder>,
    /// `[services]`, by name.
    pub services: BTreeMap<String, Service>,
    /// `[[plugin]]`, in the order of the file.
    pub plugins: Vec<Plugin>,
}

/// `[spool]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// The folder of the queue. Default "/var/spool/facteur".
    pub path: PathBuf,
    /// Bytes that are set aside, so that outcomes can be written on a full disk. Default 64 MiB:
    /// several times what the log may hold.
    pub reserve: u64,
}

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The unix socket that `facteur queue` and `facteur reload` speak to. Default: `admin.sock` in
    /// the spool.
    pub socket: PathBuf,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Default: text.
    pub format: LogFormat,
    /// The least important lines that are written. Default: info.
    pub level: tracing::Level,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All that is wrong, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Vec<ConfigError>> {
        let unreadable = |error| vec![ConfigError::unreadable(path, &error)];
        let whole = whole::read(path, MAX_FILE).map_err(|error| unreadable(error.into()))?;
        let text = String::from_utf8(whole.bytes)
            .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Self::parse(&std::path::absolute(path).map_err(unreadable)?, &text)
    }

    /// Checks the text of a file. `file` names it in errors; relative paths start at its folder.
    ///
    /// # Errors
    /// All that is wrong, in the order of the file. Where the text is no TOML at all, only that:
    /// whatever can't be read can't be judged.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<ConfigError>> {
        let report = Report::new(file, text);
        let (document, broken) = DeTable::parse_recoverable(text);
        if !broken.is_empty() {
            for error in broken {
                report.error(
                    error.span().unwrap_or(0..0),
                    format!("this is no TOML: {}", error.message()),
                    "here",
                    None,
                );
            }
            return report.finish(None);
        }
        let config = Section::root(&report, document.get_ref(), |root| read(root, file));
        report.finish(config)
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<&Listen> {
        self.listen.iter().find(|listen| listen.name == name)
    }

    /// A listener as this configuration has it; as it was at the start if that doesn't know it.
    pub fn current<'a>(&'a self, listen: &'a Listen) -> &'a Listen {
        self.listener(&listen.name).unwrap_or(listen)
    }

    /// The plugin of this name.
    pub fn plugin(&self, name: &str) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| plugin.name == name)
    }

    /// The largest message that any listener takes, in bytes.
    pub fn message_size(&self) -> u64 {
        self.listen.iter().map(|listen| listen.limits.message_size).max().unwrap_or_default()
    }
}

/// The text of a first start's configuration. Where root starts it, its mailboxes belong to
/// "nobody", since mail is never written as root.
pub fn demo() -> String {
    if rustix::process::geteuid().is_root() {
        DEMO.replace(OWNER.0, OWNER.1)
    } else {
        DEMO.to_owned()
    }
}

/// Reads the whole file.
fn read(root: &mut Section<'_>, file: &Path) -> Option<Config> {
    let hostname =
        root.required("hostname", "\"mail.example.org\"", |value| value.parse(domains::hostname));
    let name = hostname.clone().unwrap_or_default();
    let spool = root.section("spool", |section| Spool {
        path: section.get("path", Value::path).unwrap_or_else(|| "/var/spool/facteur".into()),
        reserve: section.or("reserve", 64 << 20, |value| value.size(1 << 20..=1 << 40)),
    });
    let (policy, limits) =
        root.section("policy", |section| plugin::read_policy(section, &spool.path));
    let plugins = plugins(root, limits);
    let tables = root.get("tables", table::read).unwrap_or_default();
    let tls = root.section("tls", tls::read);
    // Right or wrong: nobody is to be told that there is none.
    let possible = root.has_below("tls", "certificate");
    let listen = listeners(root, &plugins, possible);
    let config = Config {
        file: file.to_owned(),
        hostname: name.clone(),
        listen,
        tls,
        auth: root.section("auth", auth::read),
        domains: root.section("domains", |section| domains::read(section, &name)),
        mailboxes: root.section("mailboxes", mailboxes::read),
        dns: root.section("dns", network::read_dns),
        networks: root.section("networks", network::read_networks),
        queue: root.section("queue", queue::read),
        smtp: root.section("smtp", |section| queue::read_client(section, &name)),
        delivery: root.section("delivery", delivery::read),
        admin: root.section("admin", |section| Admin {
            socket: section
                .get("socket", Value::path)
                .unwrap_or_else(|| spool.path.join("admin.sock")),
        }),
        log: root.section("log", log),
        decisions: root.section("decisions", decisions::read),
        spool,
        policy,
        tables,
        verify: root.section("verify", verify::read),
        scanners: named(root, "scanners", scanner::read),
        counters: named(root, "counters", counters::read),
        folders: named(root, "folders", folder::read),
        services: named(root, "services", service::read),
        plugins,
    };
    let names = |kind| match kind {
        Kind::Plugin => {
            config.plugins.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>()
        }
        Kind::Table => config.tables.keys().map(String::as_str).collect(),
        // Those that are wrong are there all the same: nobody is to be told that they aren't.
        Kind::Scanner => root.names("scanners"),
        Kind::Counters => root.names("counters"),
        Kind::Folder => root.names("folders"),
        Kind::Service => root.names("services"),
    };
    let users = match &config.auth.source {
        AuthSource::Users(table) => config.tables.get(table),
        AuthSource::Plugins | AuthSource::Dovecot(_) => None,
    };
    if let Some(TableSource::File { format: Format::Regexp | Format::Cidr, .. }) = users {
        let help = Some("keep the users in a texthash or aliases table, or inline".to_owned());
        let message = "a table of patterns can't hold users: there is no list of them".to_owned();
        root.report.error(0..0, message, "[auth] users names one", help);
    }
    for kind in Kind::ALL {
        root.report.resolve(kind, &names(kind));
    }
    hostname.is_some().then_some(config)
}

/// The sections below one, by the names that the operator gave them. One that is wrong is reported
/// and left out.
fn named<'a, T>(
    root: &mut Section<'a>,
    key: &'static str,
    mut read: impl FnMut(&mut Section<'a>) -> Option<T>,
) -> BTreeMap<String, T> {
    let entries = root.get(key, Value::entries).unwrap_or_default().into_iter();
    entries.filter_map(|(name, value)| Some((name.to_owned(), value.read(&mut read)?))).collect()
}

/// Every `[[plugin]]`, in order.
fn plugins(root: &mut Section<'_>, limits: facteur_policy::Limits) -> Vec<Plugin> {
    let mut names = HashSet::new();
    let mut candidates = HashSet::new();
    root.sections("plugin", |section| {
        let span = section.span.clone();
        let plugin = plugin::read(section, limits)?;
        if !names.insert(plugin.name.clone()) {
            let help = Some("give each plugin a name of its own".to_owned());
            section.report.error(
                span.clone(),
                format!("two plugins are named \"{}\"", plugin.name),
                "the second",
                help,
            );
        }
        candidates.extend(plugin.instead_of.is_some().then(|| plugin.name.clone()));
        if let Some(other) = plugin.instead_of.as_ref().filter(|other| candidates.contains(*other))
        {
            let help = Some("name the plugin whose place that one takes".to_owned());
            let text = format!(
                "\"{}\" can't take the place of \"{other}\", which has none of its own",
                plugin.name
            );
            section.report.error(span, text, "a candidate for a candidate", help);
        }
        Some(plugin)
    })
}

/// Every `[[listen]]`, with its chain filled in.
fn listeners(root: &mut Section<'_>, plugins: &[Plugin], tls: bool) -> Vec<Listen> {
    let mut addresses = HashSet::new();
    let listeners = root.sections("listen", |section| {
        let span = section.span.clone();
        let (mut listen, chain) = listen::read(section, tls)?;
        if !addresses.insert(listen.address) {
            let help = Some("take one of them out".to_owned());
            section.report.error(
                span.clone(),
                format!("two listeners have the address {}", listen.address),
                "the second",
                help,
            );
        }
        let candidate = |name: &&String| {
            plugins.iter().any(|one| one.name == **name && one.instead_of.is_some())
        };
        if let Some(name) = chain.iter().flatten().find(candidate) {
            let text = format!("the chain names \"{name}\", which takes another plugin's place");
            let help = Some("take it out: it is asked wherever the other one is".to_owned());
            section.report.error(span, text, "a candidate", help);
        }
        listen.chain =
            chain.unwrap_or_else(|| plugins.iter().map(|plugin| plugin.name.clone()).collect());
        Some(listen)
    });
    if !root.has("listen") {
        let help = Some("add [[listen]] with address = \"127.0.0.1:25\"".to_owned());
        root.report.error(
            0..0,
            "there is nothing to listen on".to_owned(),
            "no [[listen]] in the file",
            help,
        );
    }
    listeners
}

fn log(section: &mut Section<'_>) -> Log {
    use tracing::Level;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    Log {
        format: section.or("format", LogFormat::Text, |value| {
            value.one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
        }),
        level: section.or("level", Level::INFO, |value| value.one_of(&levels)),
    }
}
