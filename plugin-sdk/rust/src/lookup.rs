//! The operator's tables. Each needs the grant `lookup = ["name"]`.

use crate::Error;
pub use crate::bindings::facteur::policy::lookup::{Entry, Found, Manner};
use crate::host::lookup as host;

/// How many keys one [`find`] may have.
pub const KEYS_LIMIT: usize = 64;

/// The first of `keys` that the table has; none if it has none of them. Keys are compared in lower
/// case, domains with either kind of labels. A table of patterns is asked the first key only.
///
/// # Errors
/// The table isn't granted, isn't there, or can't be asked now; there are more than [`KEYS_LIMIT`]
/// keys.
pub fn find(table: &str, keys: &[String]) -> Result<Option<Found>, Error> {
    host::find(table, keys)
}

/// The user of a local part that has an extension, by the operator's `[domains] delimiter`: `bob`
/// of `bob+tag`. None where it has none. Not in `init`.
pub fn user(local: &str) -> Option<String> {
    host::user(local)
}

/// What the tables have for the client, by access(5): its verified name (`unknown` where it has
/// none, or the DNS can't say) and the domains above it, each with a leading dot and without; if no
/// table has any, its address and the networks above it, octet by octet. With no tables nobody is
/// asked. In the hooks of a session.
///
/// This and the others below ask the tables in order for the first of the keys that any has. What a
/// stranger wrote doesn't enter the plugin.
///
/// # Errors
/// As [`find`].
pub fn find_client(tables: &[String]) -> Result<Option<Entry>, Error> {
    if tables.is_empty() { Ok(None) } else { host::find_client(tables) }
}

/// What the tables have for what HELO or EHLO said, as a name, by access(5). None before.
///
/// # Errors
/// As [`find`].
pub fn find_helo(tables: &[String]) -> Result<Option<Entry>, Error> {
    if tables.is_empty() { Ok(None) } else { host::find_helo(tables) }
}

/// What the tables have for the sender. In a transaction.
///
/// # Errors
/// As [`find`].
pub fn find_sender(tables: &[String], keys: Manner) -> Result<Option<Entry>, Error> {
    if tables.is_empty() { Ok(None) } else { host::find_sender(tables, keys) }
}

/// What the tables have for the recipient that is asked about.
///
/// # Errors
/// As [`find`].
pub fn find_recipient(tables: &[String], keys: Manner) -> Result<Option<Entry>, Error> {
    if tables.is_empty() { Ok(None) } else { host::find_recipient(tables, keys) }
}

/// What the tables have for an accepted recipient, by its number in
/// [`transaction::recipients`](crate::transaction::recipients), from 0. None: there are fewer.
///
/// # Errors
/// As [`find`].
pub fn find_accepted(
    recipient: u32,
    tables: &[String],
    keys: Manner,
) -> Result<Option<Entry>, Error> {
    if tables.is_empty() { Ok(None) } else { host::find_accepted(recipient, tables, keys) }
}

/// The first of `keys` that any of the tables has; where several have it, the first of them. As
/// [`find`] in each.
///
/// # Errors
/// Any of the tables that had to be asked isn't granted, isn't there, or can't be asked now.
pub fn find_in(tables: &[String], keys: &[String]) -> Result<Option<Found>, Error> {
    let mut best: Option<Found> = None;
    for table in tables {
        if let Some(found) = find(table, keys)?
            && best.as_ref().is_none_or(|best| found.key < best.key)
        {
            if found.key == 0 {
                return Ok(Some(found));
            }
            best = Some(found);
        }
    }
    Ok(best)
}

/// Whether the table is there and granted; to be asked in `init`.
///
/// # Errors
/// A text for the operator that names the table and what to do.
pub fn check(table: &str) -> Result<(), String> {
    host::check(table).map_err(|error| format!("table \"{table}\": {}", error.explain()))
}

#[cfg(test)]
mod tests {
    use super::find_in;
    use crate::testing::Host;

    #[test]
    fn an_earlier_key_beats_an_earlier_table() {
        let host = Host::new()
            .table("one", &[("c", "one")])
            .table("two", &[("b", "two")])
            .table("three", &[("c", "three")]);
        let find = |tables: [&str; 2]| {
            let keys = ["a", "b", "c"].map(str::to_owned);
            let found = host.run(|| find_in(&tables.map(str::to_owned), &keys)).unwrap();
            found.map(|found| found.value)
        };
        assert_eq!(find(["one", "two"]).as_deref(), Some("two"));
        assert_eq!(find(["one", "three"]).as_deref(), Some("one"));
    }
}
