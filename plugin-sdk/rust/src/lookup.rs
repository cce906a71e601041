//! The operator's tables. Each needs the grant `lookup = ["name"]`.

pub use crate::bindings::facteur::policy::lookup::{Error, Found};
use crate::host::lookup as host;

/// How many keys one [`find`] may have.
pub const KEYS_LIMIT: usize = 64;

/// The first of `keys` that the table has; none if it has none of them. Keys are compared in lower
/// case, domains with either kind of labels. A table of patterns is asked the first key only. More
/// than [`KEYS_LIMIT`] keys are a trap.
///
/// # Errors
/// The table isn't granted, isn't there, or can't be asked now.
pub fn find(table: &str, keys: &[String]) -> Result<Option<Found>, Error> {
    host::find(table, keys)
}

/// The user of a local part that has an extension, by the operator's `[domains] delimiter`: `bob`
/// of `bob+tag`. None where it has none. Not in `init`.
pub fn user(local: &str) -> Option<String> {
    host::user(local)
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

/// Whether the table is there and granted; to be asked in `init`. A table that can't be asked now
/// is no error: its file may be mended while the plugin runs.
///
/// # Errors
/// A text for the operator that names the table and what to do.
pub fn check(table: &str) -> Result<(), String> {
    match find(table, &[]) {
        Ok(_) | Err(Error::Unavailable(_)) => Ok(()),
        Err(error) => Err(format!("table \"{table}\": {}", error.explain())),
    }
}

impl Error {
    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A text for the operator: what is wrong, and what to do. (`Display`, which is generated,
    /// shows the bare value.)
    pub fn explain(&self) -> String {
        match self {
            Self::NotGranted(line) => line.clone(),
            Self::UnknownTable(name) => {
                format!("there is no table of this name; add [tables.{name}]")
            }
            Self::Unavailable(why) => format!("it can't be asked now: {why}"),
        }
    }
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
