//! Tables, each a list of keys and values, or a function. As the host's, they compare keys in lower
//! case.

use std::collections::HashMap;
use std::rc::Rc;

use super::envelope::To;
use super::{Host, ask, keys};
use crate::lookup::{Entry, Found, Manner};
use crate::{Error, session};

/// The value of a key, in lower case.
type Table = Rc<dyn Fn(&str) -> Option<String>>;

#[derive(Clone, Default)]
pub(super) struct Tables {
    /// None: it can't be asked now.
    tables: HashMap<String, Option<Table>>,
    delimiter: Option<char>,
}

impl Host {
    /// Keys and values of a table.
    #[must_use]
    pub fn table(self, name: &str, entries: &[(&str, &str)]) -> Self {
        let entries: HashMap<String, String> =
            entries.iter().map(|(key, value)| (key.to_lowercase(), (*value).to_owned())).collect();
        self.table_of(name, move |key| entries.get(&key.to_lowercase()).cloned())
    }

    /// A table that says of each key what its value is, as one of patterns does.
    #[must_use]
    pub fn table_of(self, name: &str, value: impl Fn(&str) -> Option<String> + 'static) -> Self {
        self.with(|state| _ = state.tables.tables.insert(name.to_owned(), Some(Rc::new(value))))
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

fn table(name: &str) -> Result<Table, Error> {
    match ask(|state| state.tables.tables.get(name).cloned()) {
        Some(Some(table)) => Ok(table),
        Some(None) => Err(Error::Unavailable("it is broken".to_owned())),
        None => Err(Error::UnknownName(format!("[tables.{name}]"))),
    }
}

pub fn check(name: &str) -> Result<(), Error> {
    match table(name) {
        Ok(_) | Err(Error::Unavailable(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

pub fn find(name: &str, keys: &[String]) -> Result<Option<Found>, Error> {
    let table = table(name)?;
    Ok((0..).zip(keys).find_map(|(key, text)| Some(Found { key, value: table(text)? })))
}

/// The first of the keys that any of the tables has.
fn first(tables: &[String], keys: Vec<keys::Key>) -> Result<Option<Entry>, Error> {
    let tables = tables.iter().map(|name| table(name)).collect::<Result<Vec<_>, _>>()?;
    Ok(keys.into_iter().find_map(|(key, without_extension)| {
        let value = tables.iter().find_map(|table| table(&key))?;
        Some(Entry { value, without_extension })
    }))
}

pub fn find_client(tables: &[String]) -> Result<Option<Entry>, Error> {
    let name = session::client_name().unwrap_or_default();
    let found = first(tables, keys::name(name.as_deref().unwrap_or("unknown")))?;
    found
        .map_or_else(|| first(tables, keys::address(&session::client_address())), |it| Ok(Some(it)))
}

pub fn find_helo(tables: &[String]) -> Result<Option<Entry>, Error> {
    session::helo().map_or(Ok(None), |name| first(tables, keys::name(&name)))
}

pub fn find_sender(tables: &[String], manner: Manner) -> Result<Option<Entry>, Error> {
    let sender = crate::transaction::sender();
    let class = crate::transaction::sender_class().unwrap_or(crate::RecipientClass::Other);
    let user = sender.as_ref().and_then(|sender| user(&sender.local));
    first(tables, keys::mail(sender.as_ref(), user.as_deref(), class, manner))
}

pub fn find_recipient(tables: &[String], manner: Manner) -> Result<Option<Entry>, Error> {
    find_to(tables, &ask(|state| state.envelope.asked.clone()), manner)
}

pub fn find_accepted(
    number: u32,
    tables: &[String],
    manner: Manner,
) -> Result<Option<Entry>, Error> {
    let accepted = ask(|state| state.envelope.accepted.get(number as usize).cloned());
    accepted.map_or(Ok(None), |to| find_to(tables, &to, manner))
}

fn find_to(tables: &[String], to: &To, manner: Manner) -> Result<Option<Entry>, Error> {
    let user = user(&to.address.local);
    first(tables, keys::mail(Some(&to.address), user.as_deref(), to.class, manner))
}

pub fn user(local: &str) -> Option<String> {
    let delimiter = ask(|state| state.tables.delimiter)?;
    local.split_once(delimiter).map(|(user, _)| user.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::RecipientClass;
    use crate::lookup::{self, Manner};
    use crate::testing::Host;

    #[test]
    fn a_table_is_asked_as_the_host_asks_it() {
        let host =
            Host::new().table("t", &[("A", "1"), ("b", "2")]).broken_table("x").delimiter('+');
        let find = |table: &str, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            let found = host.run(|| lookup::find(table, &keys));
            let found = found.map(|found| found.map(|found| (found.key, found.value)));
            found.map_err(|error| error.explain().into_owned())
        };
        assert_eq!(find("t", &["none", "B", "a"]), Ok(Some((1, "2".to_owned()))));
        assert_eq!(find("t", &["none"]), Ok(None));
        assert!(find("x", &["a"]).is_err_and(|why| why.contains("now")));
        assert!(find("y", &["a"]).is_err_and(|why| why.contains("[tables.y]")));
        assert_eq!(host.run(|| lookup::user("bob+tag")).as_deref(), Some("bob"));
        assert_eq!(host.run(|| lookup::user("bob")), None);
        assert_eq!(host.run(|| lookup::check("x")), Ok(()));
        assert!(host.run(|| lookup::check("y")).is_err());
    }

    #[test]
    fn tables_are_asked_about_a_subject() {
        let tables = &["t".to_owned()];
        let host = Host::new()
            .table("t", &[("unknown", "nameless"), (".example", "name"), ("192.0.2", "network")]);
        let value = |found: Result<Option<lookup::Entry>, _>| found.unwrap().map(|it| it.value);
        let client = |host: Host| value(host.run(|| lookup::find_client(tables)));
        assert_eq!(client(host.clone()).as_deref(), Some("nameless"));
        assert_eq!(client(host.clone().client_name("mx.example")).as_deref(), Some("name"));
        assert_eq!(client(host.client_name("mx.test")).as_deref(), Some("network"));
        let host = Host::new()
            .delimiter('+')
            .table("t", &[("a@b.org", "found"), ("<>", "null")])
            .recipient("a+x@b.org", RecipientClass::Other);
        let found = host.run(|| lookup::find_recipient(tables, Manner::Transport)).unwrap();
        assert!(found.is_some_and(|found| found.value == "found" && found.without_extension));
        let host = host.sender("");
        let sender = |manner| value(host.run(|| lookup::find_sender(tables, manner)));
        assert_eq!(sender(Manner::Access).as_deref(), Some("null"));
        assert_eq!(sender(Manner::Address), None);
        // Without tables there is no host to be asked.
        assert_eq!(lookup::find_client(&[]), Ok(None));
    }
}
