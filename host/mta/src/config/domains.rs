//! `[domains]`: whose an address is, by its domain.
//!
//! Domains are kept in the one form that [`facteur_smtp::Address`] gives them: lower case,
//! U-labels. A domain stands in one list only.

use std::collections::HashMap;

use facteur_policy::{Class, Delimiter, Domains};
use facteur_smtp::Address;

use super::reader::{Section, Value};

/// Reads the section. Defaults: `origin` is the host's name, `local` the host's name and
/// `localhost` (where they aren't listed in another class), the other lists are empty, and no
/// character is a `delimiter`, as in Postfix (`recipient_delimiter`).
pub(super) fn read(section: &mut Section<'_>, hostname: &str) -> Domains {
    let hostname = normal(hostname).unwrap_or_else(|_| hostname.to_owned());
    let origin = section.or("origin", hostname.clone(), |value| value.parse(normal));
    let mut classes: HashMap<String, Class> = HashMap::new();
    let mut lists = Vec::new();
    let mut local_given = false;
    for class in [Class::Local, Class::VirtualAlias, Class::VirtualMailbox, Class::Relay] {
        let list = section
            .get(class.as_str(), |value| value.list(|value| entry(value, class, &mut classes)));
        local_given |= class == Class::Local && list.is_some();
        lists.push((class, list.unwrap_or_default()));
    }
    if !local_given {
        let absent = |domain: &String| !classes.contains_key(domain);
        lists.push((
            Class::Local,
            [hostname, "localhost".to_owned()].into_iter().filter(absent).collect(),
        ));
    }
    let delimiter = section.or("delimiter", Delimiter::default(), |value| value.parse(delimiter));
    Domains::new(&origin, lists.iter().map(|(class, list)| (*class, &list[..])))
        .with_delimiter(delimiter)
}

/// A set of characters, none of which a domain or a name would miss.
fn delimiter(set: &str) -> Result<Delimiter, String> {
    if set.chars().all(|c| c.is_ascii_punctuation() && !matches!(c, '@' | '"' | '\\')) {
        Ok(Delimiter::new(set))
    } else {
        Err("write one or more characters such as \"+\" or \"+-\": no letters, digits or blanks, \
             and none of @, \" and \\"
            .into())
    }
}

/// One element of a list.
fn entry(value: &Value<'_>, class: Class, classes: &mut HashMap<String, Class>) -> Option<String> {
    let domain = value.parse(|text| match text.strip_prefix('.') {
        Some(parent) => normal(parent).map(|parent| format!(".{parent}")),
        None => normal(text),
    })?;
    if let Some(other) = classes.insert(domain.clone(), class) {
        return value.error(
            format!(
                "\"{domain}\" is listed twice: in `{}` and in `{}`",
                other.as_str(),
                class.as_str()
            ),
            "listed before",
            "a domain is of one class: keep it in one list, once",
        );
    }
    Some(domain)
}

/// A domain in the form in which addresses hold theirs.
fn normal(domain: &str) -> Result<String, String> {
    let help = || {
        "write a domain such as \"example.org\", or \".example.org\" for its subdomains".to_owned()
    };
    if domain.is_empty() {
        return Err(help());
    }
    Address::new("x", domain).map(|address| address.domain().to_owned()).map_err(|_| help())
}

/// The host's own name, as it is said on the wire: A-labels.
pub(super) fn hostname(text: &str) -> Result<String, String> {
    let help = || "write the full name of this host, such as \"mail.example.org\"".to_owned();
    if text.is_empty() || text.starts_with('[') {
        return Err(help());
    }
    Address::new("x", text).map(|address| address.ascii_domain().into_owned()).map_err(|_| help())
}
