//! The host's own notes on a recipient in the store, which plugins don't see: how it came to be
//! one.

use std::path::{Path, PathBuf};

use facteur_smtp::Address;

/// The first alias of this machine that it came by.
const ALIAS: &str = "alias";
/// The list whose members couldn't be found out.
const LIST: &str = "list";
/// How often another recipient was put in its place.
const REPLACED: &str = "replaced";

type Tags = Vec<(String, String)>;

/// The notes of a new recipient.
pub fn new(alias: Option<&Address>, list: Option<&Path>) -> Tags {
    let mut tags = Tags::new();
    set(&mut tags, ALIAS, alias.map(ToString::to_string));
    set(&mut tags, LIST, list.and_then(Path::to_str).map(str::to_owned));
    tags
}

/// The notes of one that is put in the place of another, for the `times`th time: the first alias
/// stays the first.
pub fn replacing(before: &Tags, new: &Tags, times: u32) -> Tags {
    let mut tags = before.clone();
    set(&mut tags, LIST, get(new, LIST).map(str::to_owned));
    set(&mut tags, REPLACED, Some(times.to_string()));
    if get(&tags, ALIAS).is_none() {
        set(&mut tags, ALIAS, get(new, ALIAS).map(str::to_owned));
    }
    tags
}

/// The alias that it came by.
pub fn alias(tags: &Tags) -> Option<Address> {
    get(tags, ALIAS)?.parse().ok()
}

/// The list that it stands for.
pub fn list(tags: &Tags) -> Option<PathBuf> {
    get(tags, LIST).map(PathBuf::from)
}

/// How often another recipient was put in its place.
pub fn replaced(tags: &Tags) -> u32 {
    get(tags, REPLACED).and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn get<'a>(tags: &'a Tags, key: &str) -> Option<&'a str> {
    tags.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

fn set(tags: &mut Tags, key: &str, value: Option<String>) {
    tags.retain(|(known, _)| known != key);
    tags.extend(value.map(|value| (key.to_owned(), value)));
}
