//! Texts with what the guest sees in them: `from {sender} at {client}`.

use facteur_plugin::bindings::facteur::policy::settings;
use facteur_plugin::lookup::{self, Manner};
use facteur_plugin::{dns, message, recipient, session, transaction};

use crate::stage::Asked;

/// The text with its `{…}` filled in. What isn't known at this stage is `-`, what no one knows
/// stays.
pub fn fill(text: &str, asked: Asked) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = next(rest) {
        filled.push_str(before);
        match fact(name, asked) {
            Some(fact) => filled.push_str(&fact),
            None => filled.extend(["{", name, "}"]),
        }
        rest = after;
    }
    filled + rest
}

fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

fn fact(name: &str, asked: Asked) -> Option<String> {
    let (name, argument) = name.split_once(' ').unwrap_or((name, ""));
    session_fact(name, argument)
        .or_else(|| in_transaction(name, argument, asked))
        .or_else(|| about_recipient(name, argument, asked))
        .or_else(|| about_message(name, argument, asked))
        .or_else(|| lent(name, argument))
}

fn session_fact(name: &str, argument: &str) -> Option<String> {
    Some(match name {
        "session" => session::id(),
        "listener" => session::listener(),
        "client" => session::client_address(),
        "port" => session::client_port().to_string(),
        "name" => format!("{:?}", session::client_name()),
        "reverse" => format!("{:?}", session::reverse_name()),
        "client-in" => format!("{:?}", session::client_in(argument)),
        "trusted" => session::trusted().to_string(),
        "helo" => session::helo().unwrap_or_default(),
        "esmtp" => session::esmtp().to_string(),
        "login" => format!("{:?}", session::login()),
        "fact" => format!("{:?}", session::fact(argument)),
        "session-tag" => format!("{:?}", session::tag("probe")),
        _ => return None,
    })
}

/// What isn't there where there is no envelope.
fn in_transaction(name: &str, argument: &str, asked: Asked) -> Option<String> {
    let number = argument.parse().unwrap_or(0);
    let fact: &dyn Fn() -> String = match name {
        "sender" => {
            &|| format!("<{}>", transaction::sender().map(|it| it.to_string()).unwrap_or_default())
        }
        "sender-class" => &|| format!("{:?}", transaction::sender_class()),
        "sender-listed" => &|| format!("{:?}", transaction::sender_listed()),
        "recipients" => &|| {
            let all: Vec<String> =
                transaction::recipients().iter().map(ToString::to_string).collect();
            all.join(" ")
        },
        "recipient-count" => &|| transaction::recipient_count().to_string(),
        "class-of" => &|| format!("{:?}", transaction::class_of(number)),
        "routed-of" => &|| format!("{:?}", transaction::routed(number)),
        "listed-of" => &|| format!("{:?}", transaction::listed(number)),
        "declared-size" => &|| format!("{:?}", transaction::declared_size()),
        "utf8" => &|| transaction::utf8().to_string(),
        "tag" => &|| format!("{:?}", transaction::tag("probe")),
        "find-sender" => &|| found(argument, lookup::find_sender),
        "find-accepted" => {
            &|| found(argument, |tables, manner| lookup::find_accepted(0, tables, manner))
        }
        _ => return None,
    };
    Some(where_there(asked.transaction(), fact))
}

fn about_recipient(name: &str, argument: &str, asked: Asked) -> Option<String> {
    let fact: &dyn Fn() -> String = match name {
        "recipient" => &|| recipient::address().to_string(),
        "original" => &|| recipient::original().to_string(),
        "class" => &|| format!("{:?}", recipient::address_class()),
        "routed" => &|| recipient::routed().to_string(),
        "listed" => &|| format!("{:?}", recipient::listed()),
        "find-recipient" => &|| found(argument, lookup::find_recipient),
        _ => return None,
    };
    Some(where_there(asked.recipient(), fact))
}

fn about_message(name: &str, argument: &str, asked: Asked) -> Option<String> {
    let fact: &dyn Fn() -> String = match name {
        "size" => &|| message::size().to_string(),
        "body-offset" => &|| message::body_offset().to_string(),
        "body" => &|| match message::read(message::body_offset(), 200) {
            Ok(body) => format!("{:?}", String::from_utf8_lossy(&body)),
            Err(error) => format!("{error:?}"),
        },
        "headers" => &|| message::headers(0).len().to_string(),
        "header" => &|| {
            let values = message::header(argument);
            format!("{:?}", values.iter().map(|it| String::from_utf8_lossy(it)).collect::<Vec<_>>())
        },
        "header-text" => &|| format!("{:?}", message::header_text(argument)),
        // As it is, for a text that shall hold it.
        "subject" => &|| message::header_text("subject").concat(),
        _ => return None,
    };
    Some(where_there(asked.message(), fact))
}

fn lent(name: &str, argument: &str) -> Option<String> {
    Some(match name {
        "addresses" => format!("{:?}", dns::addresses(argument)),
        "mx" => format!("{:?}", dns::mail_exchangers(argument)),
        "texts" => format!("{:?}", dns::texts(argument)),
        "name-servers" => format!("{:?}", dns::name_servers(argument)),
        "names-of" => format!("{:?}", dns::names_of(argument)),
        "find-client" => found(argument, |tables, _| lookup::find_client(tables)),
        "find-helo" => found(argument, |tables, _| lookup::find_helo(tables)),
        "setting-text" => format!("{:?}", settings::text(argument)),
        "setting-number" => format!("{:?}", settings::number(argument)),
        "setting-yes-or-no" => format!("{:?}", settings::yes_or_no(argument)),
        "setting-texts" => format!("{:?}", settings::texts(argument)),
        "setting-names" => format!("{:?}", settings::names(argument)),
        _ => return None,
    })
}

/// What the tables have: `TABLE,TABLE MANNER`.
fn found(
    argument: &str,
    find: impl Fn(&[String], Manner) -> Result<Option<lookup::Entry>, facteur_plugin::Error>,
) -> String {
    let (tables, manner) = argument.split_once(' ').unwrap_or((argument, "access"));
    let tables: Vec<String> = tables.split(',').map(str::to_owned).collect();
    let manner = match manner {
        "address" => Manner::Address,
        "alias" => Manner::Alias,
        "transport" => Manner::Transport,
        "domain" => Manner::Domain,
        _ => Manner::Access,
    };
    match find(&tables, manner) {
        Ok(Some(found)) if found.without_extension => format!("{} without extension", found.value),
        Ok(found) => found.map_or_else(|| "nothing".to_owned(), |found| found.value),
        Err(error) => format!("{error:?}"),
    }
}

fn where_there(there: bool, fact: &dyn Fn() -> String) -> String {
    if there { fact() } else { "-".to_owned() }
}
