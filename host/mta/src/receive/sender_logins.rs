//! Whether the sender of a message is the client's to use (Postfix's `smtpd_sender_login_maps`).
//!
//! An address is looked up as user@domain, with and without extension, as the user alone where the
//! domain is local, and as @domain; the value is a list of logins. Who logged in may use what it
//! owns and nothing else; who didn't, what nobody owns. The null sender is everybody's.

use facteur_policy::{Domains, address_keys};
use facteur_smtp::{Address, Reply, status};

use crate::tables::Tables;

/// Why it isn't, if it isn't.
pub(super) fn refusal(
    tables: &Tables,
    table: &str,
    domains: &Domains,
    sender: &Address,
    login: Option<&str>,
) -> Option<Reply> {
    let owners = match tables.find(table, &address_keys(domains, sender)) {
        Ok(found) => found.map(|found| found.value),
        Err(error) => {
            tracing::error!(%error, table, "it can't be told who owns a sender address");
            return Some(Reply::lookup_failure(sender));
        }
    };
    let owns = |login: &str| {
        owners
            .iter()
            .flat_map(|all| all.split([',', ' ', '\t']))
            .any(|one| facteur_smtp::key(one) == login)
    };
    let why = match login {
        Some(login) if owns(login) => return None,
        Some(login) => format!("not owned by user {login}"),
        None if owners.is_none() => return None,
        None => "not logged in".to_owned(),
    };
    let text = format!("<{sender}>: Sender address rejected: {why}");
    Some(Reply::new(553, status::NOT_AUTHORIZED, text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use facteur_policy::{Class, Delimiter};

    use super::*;
    use crate::config::TableSource;

    #[test]
    fn a_sender_belongs_to_logins() {
        let entries = [
            ("louen@local.test", "louen"),
            ("shared@local.test", "louen, Ann@x.test"),
            ("ann", "ann@x.test"),
            ("@x.test", "ann@x.test"),
            ("ann@x.test", "ann@x.test"),
        ];
        let owned = entries.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let source = TableSource::Inline(owned);
        let (tables, _) = Tables::open(&BTreeMap::from([("owners".to_owned(), source)]), None);
        let local = ["local.test".to_owned()];
        let domains = Domains::new("local.test", [(Class::Local, &local[..])])
            .with_delimiter(Delimiter::new("+"));
        let ask = |sender: &str, login| {
            let sender = sender.parse().unwrap();
            refusal(&tables, "owners", &domains, &sender, login).map(|reply| reply.to_string())
        };
        let (louen, ann) = (Some("louen"), Some("ann@x.test"));
        for (sender, login) in [
            ("louen@local.test", louen),
            ("LOUEN+ext@local.test", louen),
            ("shared@local.test", louen),
            ("shared@local.test", ann),
            ("ann@local.test", ann),
            ("anybody@x.test", ann),
            ("stranger@elsewhere.test", None),
        ] {
            assert_eq!(ask(sender, login), None, "{sender} {login:?}");
        }
        for (sender, login, why) in [
            ("louen@local.test", ann, "not owned by user ann@x.test"),
            ("stranger@elsewhere.test", louen, "not owned by user louen"),
            ("anybody@x.test", None, "not logged in"),
            // A local part that looks like an address is none.
            ("\"ann@x.test\"@local.test", ann, "not owned by user ann@x.test"),
        ] {
            let told = format!("553 5.7.1 <{sender}>: Sender address rejected: {why}");
            assert_eq!(ask(sender, login), Some(told));
        }
        let sender = "a@b.test".parse().unwrap();
        let later = refusal(&tables, "missing", &domains, &sender, louen).unwrap();
        assert_eq!(later.to_string(), "451 4.3.0 <a@b.test>: Temporary lookup failure");
    }
}
