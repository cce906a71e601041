//! What the operator allows a plugin, by name.
//!
//! A plugin starts with nothing. A call without its grant is answered with the line of
//! configuration that would give it; it never stops a load, since some tool chains import a whole
//! world, used or not.

use std::path::{Path, PathBuf};

/// `[plugin.grants]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// May ask the DNS.
    pub dns: bool,
    /// May answer `allow-relay`.
    pub relay: bool,
    /// The tables it may ask.
    pub lookup: Vec<String>,
    /// The virus scanners it may ask.
    pub scanner: Vec<String>,
    /// The stores of counters it may use.
    pub counters: Vec<String>,
    /// May have other servers asked about addresses.
    pub verify: bool,
    /// The folders it may read.
    pub files: Vec<String>,
    /// The folders it may read and write.
    pub files_write: Vec<String>,
    /// The services it may talk to.
    pub connect: Vec<String>,
    /// The files, and folders of files, that its `:include:` targets may name.
    pub include: Vec<PathBuf>,
}

impl Grants {
    /// What is granted, in words: "dns", "relay", "lookup aliases, virtual".
    pub fn words(&self) -> Vec<String> {
        let flags = [("dns", self.dns), ("relay", self.relay), ("verify", self.verify)];
        let include: Vec<String> =
            self.include.iter().map(|path| path.display().to_string()).collect();
        let lists = [
            ("lookup", &self.lookup),
            ("scanner", &self.scanner),
            ("counters", &self.counters),
            ("files", &self.files),
            ("files-write", &self.files_write),
            ("connect", &self.connect),
            ("include", &include),
        ];
        let flags = flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned());
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        flags.chain(lists.map(|(name, names)| format!("{name} {}", names.join(", ")))).collect()
    }

    /// Whether the table may be asked; otherwise the line to add.
    pub(crate) fn lookup(&self, plugin: &str, table: &str) -> Result<(), String> {
        named(plugin, "lookup", &self.lookup, table)
    }

    /// Whether the scanner may be asked; otherwise the line to add.
    pub(crate) fn scanner(&self, plugin: &str, scanner: &str) -> Result<(), String> {
        named(plugin, "scanner", &self.scanner, scanner)
    }

    /// Whether the store of counters may be used; otherwise the line to add.
    pub(crate) fn counters(&self, plugin: &str, store: &str) -> Result<(), String> {
        named(plugin, "counters", &self.counters, store)
    }

    /// Whether the DNS may be asked; otherwise the line to add.
    pub(crate) fn dns(&self, plugin: &str) -> Result<(), String> {
        if self.dns { Ok(()) } else { Err(line_to_add(plugin, "dns = true")) }
    }

    /// Whether other servers may be asked about addresses; otherwise the line to add.
    pub(crate) fn verify(&self, plugin: &str) -> Result<(), String> {
        if self.verify { Ok(()) } else { Err(line_to_add(plugin, "verify = true")) }
    }

    /// Whether the folder may be read, which it may be too where it may be written; otherwise the
    /// line to add.
    pub(crate) fn files(&self, plugin: &str, folder: &str) -> Result<(), String> {
        named(plugin, "files-write", &self.files_write, folder)
            .or_else(|_| named(plugin, "files", &self.files, folder))
    }

    /// Whether the folder may be written; otherwise the line to add.
    pub(crate) fn files_write(&self, plugin: &str, folder: &str) -> Result<(), String> {
        named(plugin, "files-write", &self.files_write, folder)
    }

    /// Whether the service may be talked to; otherwise the line to add.
    pub(crate) fn connect(&self, plugin: &str, service: &str) -> Result<(), String> {
        named(plugin, "connect", &self.connect, service)
    }

    /// Whether relaying may be allowed; otherwise the line to add.
    pub(crate) fn relay(&self, plugin: &str) -> Result<(), String> {
        if self.relay { Ok(()) } else { Err(line_to_add(plugin, "relay = true")) }
    }

    /// Whether a list may be read from this path: it is granted itself, or lies below a granted
    /// folder. A path that climbs ("..") or isn't absolute is never granted.
    pub(crate) fn include(&self, path: &Path) -> bool {
        use std::path::Component;
        path.is_absolute()
            && !path
                .components()
                .any(|part| matches!(part, Component::ParentDir | Component::CurDir))
            && self.include.iter().any(|granted| path.starts_with(granted))
    }
}

/// Whether the name is among those granted under this key; otherwise the line to add, which keeps
/// those that are there.
fn named(plugin: &str, key: &str, granted: &[String], name: &str) -> Result<(), String> {
    if granted.iter().any(|granted| granted == name) {
        return Ok(());
    }
    let all: Vec<&str> = granted.iter().map(String::as_str).chain([name]).collect();
    Err(line_to_add(plugin, &format!("{key} = {all:?}")))
}

fn line_to_add(plugin: &str, line: &str) -> String {
    format!("not granted: under [plugin.grants] of the plugin \"{plugin}\" add: {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_grant_names_the_line_to_add() {
        let grants = Grants { lookup: vec!["aliases".into()], ..Grants::default() };
        assert_eq!(grants.lookup("a", "aliases"), Ok(()));
        let told = grants.lookup("a", "virtual").unwrap_err();
        assert!(told.ends_with("add: lookup = [\"aliases\", \"virtual\"]"), "{told}");
        assert!(grants.dns("a").unwrap_err().contains("dns = true"));
    }

    #[test]
    fn an_include_stays_below_what_is_granted() {
        let grants = Grants { include: vec!["/etc/mail".into()], ..Grants::default() };
        assert!(grants.include(Path::new("/etc/mail/list")));
        for path in ["/etc/mail/../shadow", "/etc/mailman/list", "etc/mail/list", "/etc/shadow"] {
            assert!(!grants.include(Path::new(path)), "{path}");
        }
    }
}
