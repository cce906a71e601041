//! Tables, each a list of keys and values. As the host's, they compare keys in lower case.

use std::collections::HashMap;

use super::{Host, ask};
use crate::lookup::{Error, Found};

#[derive(Default)]
pub(super) struct Tables {
    /// None: it can't be asked now.
    tables: HashMap<String, Option<Vec<(String, String)>>>,
    delimiter: Option<char>,
}

impl Host {
    /// Keys and values of a table.
    #[must_use]
    pub fn table(self, name: &str, entries: &[(&str, &str)]) -> Self {
        let entries =
            entries.iter().map(|(key, value)| (key.to_lowercase(), (*value).to_owned())).collect();
        self.with(|state| _ = state.tables.tables.insert(name.to_owned(), Some(entries)))
    }

    /// A table that can't be asked now.
    #[must_use]
    pub fn broken_table(self, name: &str) -> Self {
        self.with(|state| _ = state.tables.tables.insert(name.to_owned(), None))
    }

    /// What parts a user from an extension: `[domains] delimiter`. By default nothing does.
    #[must_use]
    pub fn delimiter(self, delimiter: char) -> Self {
        self.with(|state| state.tables.delimiter = Some(delimiter))
    }
}

pub fn find(table: &str, keys: &[String]) -> Result<Option<Found>, Error> {
    ask(|state| {
        let entries = match state.tables.tables.get(table) {
            Some(Some(entries)) => entries,
            Some(None) => return Err(Error::Unavailable("it is broken".to_owned())),
            None => return Err(Error::UnknownTable(table.to_owned())),
        };
        Ok((0..).zip(keys).find_map(|(number, key)| {
            let key = key.to_lowercase();
            let (_, value) = entries.iter().find(|(known, _)| *known == key)?;
            Some(Found { key: number, value: value.clone() })
        }))
    })
}

pub fn user(local: &str) -> Option<String> {
    let delimiter = ask(|state| state.tables.delimiter)?;
    local.split_once(delimiter).map(|(user, _)| user.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::lookup;
    use crate::testing::Host;

    #[test]
    fn a_table_is_asked_as_the_host_asks_it() {
        let host =
            Host::new().table("t", &[("A", "1"), ("b", "2")]).broken_table("x").delimiter('+');
        let find = |table: &str, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            let found = host.run(|| lookup::find(table, &keys));
            found.map(|found| found.map(|found| (found.key, found.value))).map_err(|e| e.explain())
        };
        assert_eq!(find("t", &["none", "B", "a"]), Ok(Some((1, "2".to_owned()))));
        assert_eq!(find("t", &["none"]), Ok(None));
        assert!(find("x", &["a"]).is_err_and(|why| why.contains("now")));
        assert!(find("y", &["a"]).is_err_and(|why| why.contains("[tables.y]")));
        assert_eq!(host.run(|| lookup::user("bob+tag")).as_deref(), Some("bob"));
        assert_eq!(host.run(|| lookup::user("bob")), None);
        assert_eq!(host.run(|| lookup::check("x")), Ok(()));
    }
}
