//! `[tables.NAME]`: where the operator's tables are and how they are written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::reader::{Section, Value};

/// Where a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableSource {
    /// In a file, which is watched.
    File {
        /// The file.
        path: PathBuf,
        /// How it is written. Default: `Texthash`.
        format: Format,
    },
    /// In the configuration: keys in their one form ([`facteur_smtp::key`]), and values.
    Inline(Vec<(String, String)>),
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// "texthash", also "hash": a key, white space and a value a line, as postmap(1) reads it.
    Texthash,
    /// "aliases": aliases(5).
    Aliases,
    /// "regexp": `regexp_table`(5).
    Regexp,
    /// "cidr": `cidr_table`(5).
    Cidr,
}

/// The words of `format`.
const FORMATS: [(&str, Format); 5] = [
    ("texthash", Format::Texthash),
    ("hash", Format::Texthash),
    ("aliases", Format::Aliases),
    ("regexp", Format::Regexp),
    ("cidr", Format::Cidr),
];

/// Reads all of `[tables]`.
pub(super) fn read(value: &Value<'_>) -> Option<BTreeMap<String, TableSource>> {
    let entries = value.entries()?.into_iter();
    // A table that is wrong is reported; its name is there all the same, so that nobody is told
    // that it isn't.
    let source = |value: &Value<'_>| value.read(table).unwrap_or(TableSource::Inline(Vec::new()));
    Some(entries.map(|(name, value)| (name.to_owned(), source(&value))).collect())
}

fn table(section: &mut Section<'_>) -> Option<TableSource> {
    let inline = section.value("inline");
    let format = section.value("format");
    let Some(inline) = inline else {
        let path = section.required("file", "\"PATH\", or inline = { … }", Value::path);
        let format = match format {
            Some(format) => format.one_of(&FORMATS),
            None => Some(Format::Texthash),
        };
        return Some(TableSource::File { path: path?, format: format? });
    };
    if let Some(file) = section.value("file") {
        return file.error(
            "a table is in a file or inline, not both",
            "and `inline` too",
            "take one of them out",
        );
    }
    if let Some(format) = format {
        return format.error(
            "an inline table has no format",
            "has no meaning here",
            "take the line out",
        );
    }
    entries(&inline).map(TableSource::Inline)
}

/// Keys and values of an inline table.
fn entries(inline: &Value<'_>) -> Option<Vec<(String, String)>> {
    let mut entries = BTreeMap::new();
    for (key, value) in inline.entries()? {
        let Some(text) = value.string() else { continue };
        let key = facteur_smtp::key(key);
        if entries.insert(key.clone().into_owned(), text.to_owned()).is_some() {
            value.error::<()>(
                format!("the key \"{key}\" is there twice"),
                "again",
                "keys are compared in lower case, with U-labels: keep one of them",
            );
        }
    }
    Some(entries.into_iter().collect())
}
