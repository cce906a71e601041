//! The page that documents every key is compared with the keys that the reader asks for, both ways.

use std::collections::BTreeSet;
use std::path::Path;

use super::reader::ASKED;
use super::{Config, DEMO};

const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// The section and the name of each key.
type Keys = BTreeSet<(String, String)>;

/// What the reader knows. It asks for every key of every section, whatever stands in the file; only
/// a table in a file and one in the configuration have keys of their own, so that there is one of
/// each.
fn known() -> Keys {
    let more = "[tables.in-a-file]\nfile = \"x\"\n[scanners.av]\nclamd = [\"/x\"]\n\
     [counters.rates]\n\
                [folders.f]\npath = \"/x\"\n[services.s]\naddress = \"/x\"\n\
                [[tls.certificate]]\nchain = \"/x\"\n";
    let text = format!("{DEMO}\n{more}");
    assert!(Config::parse(Path::new("/x/facteur.toml"), &text).is_ok());
    let asked = ASKED.take();
    let is_section = |full: &str| {
        asked.iter().any(|(other, _)| {
            other == full || other.strip_prefix(full).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let mut keys = Keys::new();
    for (section, key) in &asked {
        let full = if section.is_empty() { (*key).to_owned() } else { format!("{section}.{key}") };
        if !is_section(&full) {
            let named = ["tables", "scanners", "counters", "folders", "services"]
                .iter()
                .find(|named| section.split_once('.').is_some_and(|it| it.0 == **named));
            let section = named.map_or(section.clone(), |named| format!("{named}.NAME"));
            keys.insert((section, (*key).to_owned()));
        }
    }
    keys
}

/// What the page tells: rows that begin with "| `key` |", below headings such as "## `[queue]`".
fn told() -> Keys {
    let mut section = String::new();
    let mut keys = Keys::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let name = heading.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            section =
                name.map_or(String::new(), |(name, _)| name.trim_start_matches('[').to_owned());
        } else if let Some((key, _)) = line.strip_prefix("| `").and_then(|row| row.split_once('`'))
        {
            keys.insert((section.clone(), key.to_owned()));
        }
    }
    keys
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let (known, told) = (known(), told());
    let missing: Vec<_> = known.difference(&told).collect();
    let stale: Vec<_> = told.difference(&known).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "not in docs/configuration.md: {missing:?}; only there: {stale:?}"
    );
    assert!(known.len() > 50, "{known:?}");
}
