//! `lookup`: the operator's tables, by keys of the plugin's own and by what is asked about.

use std::borrow::Cow;

use facteur_smtp::Address;
use wasmtime::Result;

use super::{Answer, unknown};
use crate::contract::bindings::facteur::policy::{lookup, types};
use crate::contract::context::Context;
use crate::domains::Class;
use crate::lookup_keys::{KEYS_LIMIT, Keys, Manner, NO_NAME, folded};
use crate::services::{Found, TableError};

impl From<lookup::Manner> for Manner {
    fn from(manner: lookup::Manner) -> Self {
        match manner {
            lookup::Manner::Access => Self::Access,
            lookup::Manner::Address => Self::Address,
            lookup::Manner::Alias => Self::Alias,
            lookup::Manner::Transport => Self::Transport,
            lookup::Manner::Domain => Self::Domain,
        }
    }
}

impl From<TableError> for types::Error {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unknown(name) => unknown("tables", &name),
            TableError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl Context {
    /// The first of the keys that the table has. They are in lower case.
    async fn ask(&self, table: &str, keys: &[String]) -> Answer<Option<Found>> {
        let granted = self.plugin.grants.lookup(&self.plugin.name, table);
        granted.map_err(types::Error::NotGranted)?;
        Ok(self.services.tables.find(table, keys).await?)
    }

    /// The first of the keys that any of the tables has; where several have it, the first of them.
    async fn ask_all(&self, tables: &[String], keys: &Keys) -> Answer<Option<lookup::Entry>> {
        let mut best: Option<Found> = None;
        let tables = if keys.all.is_empty() { &[] } else { tables };
        for table in tables {
            if let Some(found) = self.ask(table, &keys.all).await?
                && best.as_ref().is_none_or(|best| found.key < best.key)
            {
                let is_first = found.key == 0;
                best = Some(found);
                if is_first {
                    break;
                }
            }
        }
        let entry = |found: Found| lookup::Entry {
            without_extension: keys.is_shortened(found.key),
            value: found.value,
        };
        Ok(best.map(entry))
    }

    /// The keys of an address, where there are tables to ask.
    fn keys_of(
        &self,
        tables: &[String],
        address: Option<&Address>,
        class: Class,
        manner: lookup::Manner,
    ) -> Keys {
        if tables.is_empty() {
            return Keys::default();
        }
        Keys::of_address(address, class, self.domains.delimiter(), manner.into())
    }
}

/// The keys in lower case, as tables compare them.
fn lower(keys: &[String]) -> Cow<'_, [String]> {
    if !keys.iter().any(|key| key.chars().any(char::is_uppercase)) {
        return keys.into();
    }
    let mut keys = keys.to_vec();
    keys.iter_mut().for_each(folded);
    keys.into()
}

pub(crate) async fn check(context: &Context, table: String) -> Result<Answer<()>> {
    Ok(match context.ask(&table, &[]).await {
        // Its file may be mended while the plugin runs.
        Ok(_) | Err(types::Error::Unavailable(_)) => Ok(()),
        Err(error) => Err(error),
    })
}

pub(crate) async fn find(
    context: &Context,
    table: &str,
    keys: &[String],
) -> Result<Answer<Option<lookup::Found>>> {
    if keys.len() > KEYS_LIMIT {
        return Ok(Err(types::Error::Limit(format!("{KEYS_LIMIT} keys"))));
    }
    let found = context.ask(table, &lower(keys)).await;
    Ok(found.map(|found| {
        found.map(|found| lookup::Found {
            key: u32::try_from(found.key).unwrap_or(u32::MAX),
            value: found.value,
        })
    }))
}

pub(crate) async fn find_client(
    context: &Context,
    tables: &[String],
) -> Result<Answer<Option<lookup::Entry>>> {
    let session = context.session("lookup.find-client")?;
    if tables.is_empty() {
        return Ok(Ok(None));
    }
    let reverse = session.reverse(&*context.services.dns).await;
    let name = reverse.and_then(|reverse| reverse.verified).ok().flatten();
    // Two questions: a table of patterns is asked the first key only, and it may hold names or
    // addresses.
    let keys = Keys::of_name(name.as_deref().unwrap_or(NO_NAME));
    let found = context.ask_all(tables, &keys).await;
    if !matches!(found, Ok(None)) {
        return Ok(found);
    }
    let keys = Keys::of_ip(session.client_ip());
    Ok(context.ask_all(tables, &keys).await)
}

pub(crate) async fn find_helo(
    context: &Context,
    tables: &[String],
) -> Result<Answer<Option<lookup::Entry>>> {
    let helo = context.session("lookup.find-helo")?.helo();
    let keys = helo.map(|helo| Keys::of_name(&helo)).unwrap_or_default();
    Ok(context.ask_all(tables, &keys).await)
}

pub(crate) async fn find_sender(
    context: &Context,
    tables: &[String],
    keys: lookup::Manner,
) -> Result<Answer<Option<lookup::Entry>>> {
    let envelope = context.envelope("lookup.find-sender")?;
    let class = envelope.sender_class_now().unwrap_or(Class::Other);
    let keys = context.keys_of(tables, envelope.sender_now().as_ref(), class, keys);
    Ok(context.ask_all(tables, &keys).await)
}

pub(crate) async fn find_recipient(
    context: &Context,
    tables: &[String],
    keys: lookup::Manner,
) -> Result<Answer<Option<lookup::Entry>>> {
    let facts = context.recipient("lookup.find-recipient")?;
    let keys = context.keys_of(tables, Some(&facts.address), facts.class, keys);
    Ok(context.ask_all(tables, &keys).await)
}

pub(crate) async fn find_accepted(
    context: &Context,
    recipient: u32,
    tables: &[String],
    keys: lookup::Manner,
) -> Result<Answer<Option<lookup::Entry>>> {
    let keys = match context.accepted("lookup.find-accepted", recipient)? {
        Some(facts) => context.keys_of(tables, Some(&facts.address), facts.class, keys),
        None => Keys::default(),
    };
    Ok(context.ask_all(tables, &keys).await)
}

pub(crate) fn user(context: &Context, local: &str) -> Result<Option<String>> {
    if context.hook.is_none() {
        return Err(context.misplaced("lookup.user", "every hook"));
    }
    let split = context.domains.delimiter().split(local);
    Ok(split.map(|(user, _)| user.to_owned()))
}
