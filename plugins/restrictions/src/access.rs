//! access(5): which keys a table is asked, and what its value means.

use facteur_plugin::{Address, domain, extension, status};

use crate::hostname::is_address;

/// The null sender as a key (Postfix's `smtpd_null_access_lookup_key`).
pub const NULL_SENDER: &str = "<>";

/// A name and the domains above it, each with and without a leading dot. An address has none above it.
pub fn name_keys(name: &str) -> Vec<String> {
    let mut keys = Vec::with_capacity(8);
    add_name(&mut keys, name);
    keys
}

fn add_name(keys: &mut Vec<String>, name: &str) {
    if name.is_empty() {
        return;
    }
    keys.push(name.to_owned());
    if is_address(name) {
        return;
    }
    for parent in domain::parents(name) {
        keys.push(format!(".{parent}"));
        keys.push(parent.to_owned());
    }
}

/// An IP address and its networks, octet by octet: `192.0.2.1`, `192.0.2`, `192.0`, `192`.
pub fn address_keys(address: &str) -> Vec<String> {
    let delimiter = if address.contains(':') { ':' } else { '.' };
    let mut keys = vec![address.to_owned()];
    let mut rest = address;
    while let Some((network, _)) = rest.rsplit_once(delimiter) {
        if !network.is_empty() {
            keys.push(network.to_owned());
        }
        rest = network;
    }
    keys
}

/// `user+foo@domain`, `user@domain`, the domain and those above it, `user+foo@`, `user@`.
pub fn mail_keys(address: &Address, delimiters: &str) -> Vec<String> {
    let user = extension::split(&address.local, delimiters).map(|(user, _)| user);
    let mut keys = Vec::with_capacity(8);
    keys.push(address.to_string());
    keys.extend(user.map(|user| format!("{user}@{}", address.domain)));
    add_name(&mut keys, &address.domain);
    keys.push(format!("{}@", address.local));
    keys.extend(user.map(|user| format!("{user}@")));
    keys
}

/// What a value says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    Permit,
    Dunno,
    /// Code, status and text; where the text is empty, the usual one.
    Refuse(u16, &'a str, &'a str),
    DeferIfPermit(&'a str, &'a str),
    DeferIfReject(&'a str, &'a str),
    Discard(&'a str),
    Hold(&'a str),
    Redirect(Address),
    Bcc(Address),
    /// A header's name and value.
    Prepend(&'a str, &'a str),
    Warn(&'a str),
    Info(&'a str),
    /// The right-hand side is a list of restrictions.
    Restrictions(&'a str),
    /// It can't be understood, and is passed over as Postfix does; the text says why.
    Broken(&'static str),
}

/// Reads a value.
pub fn answer(value: &str) -> Answer<'_> {
    let value = value.trim();
    let (word, text) = value.split_once([' ', '\t']).map_or((value, ""), |(word, text)| (word, text.trim_start()));
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    let with_status = |default| {
        let (status, text) = status::split(text);
        (status.unwrap_or(default), text)
    };
    if is("DUNNO") {
        Answer::Dunno
    } else if is("REJECT") {
        let (status, text) = with_status("5.7.1");
        Answer::Refuse(554, status, text)
    } else if is("DEFER") {
        let (status, text) = with_status("4.7.1");
        Answer::Refuse(450, status, text)
    } else if is("DEFER_IF_PERMIT") {
        let (status, text) = with_status("4.7.1");
        Answer::DeferIfPermit(status, text)
    } else if is("DEFER_IF_REJECT") {
        let (status, text) = with_status("4.7.1");
        Answer::DeferIfReject(status, text)
    } else if is("INFO") {
        Answer::Info(text)
    } else if is("WARN") {
        Answer::Warn(text)
    } else if is("HOLD") {
        Answer::Hold(text)
    } else if is("DISCARD") {
        Answer::Discard(text)
    } else if is("REDIRECT") {
        mail_address(text).map_or(Answer::Broken("REDIRECT needs user@domain"), Answer::Redirect)
    } else if is("BCC") {
        mail_address(text).map_or(Answer::Broken("BCC needs user@domain"), Answer::Bcc)
    } else if is("PREPEND") {
        header(text)
            .map_or(Answer::Broken("PREPEND needs a header: text"), |(name, value)| Answer::Prepend(name, value))
    } else if is("OK") || is("RELAY") || value.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits: a time stamp that some tools write. So is nothing at all, as from the dark ages.
        Answer::Permit
    } else if let (Some(code), false) = (reply_code(word), text.is_empty()) {
        let (status, text) = with_status(if code < 500 { "4.7.1" } else { "5.7.1" });
        Answer::Refuse(code, status, text)
    } else {
        Answer::Restrictions(value)
    }
}

fn reply_code(word: &str) -> Option<u16> {
    let code = word.parse().ok().filter(|_| word.len() == 3)?;
    (400..=599).contains(&code).then_some(code)
}

fn mail_address(text: &str) -> Option<Address> {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>');
    let (local, domain) = text.rsplit_once('@')?;
    let whole = !local.is_empty() && !domain.is_empty() && !text.contains([' ', '\t']);
    whole.then(|| Address::new(local, domain.to_ascii_lowercase()))
}

/// The contract's limits for a header.
const NAME_LIMIT: usize = 64;
const VALUE_LIMIT: usize = 8_192;

fn header(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(':')?;
    let named = (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    let value = value.trim();
    (named && value.len() <= VALUE_LIMIT && !value.contains(['\0', '\r', '\n'])).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_postfix_order() {
        assert_eq!(name_keys("a.b.org"), ["a.b.org", ".b.org", "b.org", ".org", "org"]);
        assert_eq!(name_keys("192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(name_keys("unknown"), ["unknown"]);
        assert_eq!(address_keys("192.0.2.1"), ["192.0.2.1", "192.0.2", "192.0", "192"]);
        assert_eq!(address_keys("2001:db8::1"), ["2001:db8::1", "2001:db8:", "2001:db8", "2001"]);
        assert_eq!(address_keys("::1"), ["::1", ":"]);
        let address = Address::new("user+foo", "b.org");
        assert_eq!(
            mail_keys(&address, "+"),
            ["user+foo@b.org", "user@b.org", "b.org", ".org", "org", "user+foo@", "user@"]
        );
        assert_eq!(mail_keys(&address, ""), ["user+foo@b.org", "b.org", ".org", "org", "user+foo@"]);
        assert_eq!(mail_keys(&Address::new("u", "[192.0.2.1]"), ""), ["u@[192.0.2.1]", "[192.0.2.1]", "u@"]);
    }

    #[test]
    fn no_name_makes_too_many_keys() {
        let deep = Address::new("user+foo", format!("{}evil.example", "a.".repeat(100)));
        let keys = mail_keys(&deep, "+");
        assert!(keys.len() <= facteur_plugin::lookup::KEYS_LIMIT);
        assert!(keys.iter().any(|key| key == "evil.example"));
    }

    #[test]
    fn values_are_read() {
        for (value, expected) in [
            ("OK", Answer::Permit),
            ("ok thanks", Answer::Permit),
            ("relay", Answer::Permit),
            ("1234567890", Answer::Permit),
            ("550", Answer::Permit),
            ("", Answer::Permit),
            ("DUNNO whatever", Answer::Dunno),
            ("REJECT", Answer::Refuse(554, "5.7.1", "")),
            ("reject\tgo away", Answer::Refuse(554, "5.7.1", "go away")),
            ("REJECT 5.7.0 go away", Answer::Refuse(554, "5.7.0", "go away")),
            ("DEFER later", Answer::Refuse(450, "4.7.1", "later")),
            ("550 5.1.1 nobody", Answer::Refuse(550, "5.1.1", "nobody")),
            ("450 later", Answer::Refuse(450, "4.7.1", "later")),
            ("521 bye", Answer::Refuse(521, "5.7.1", "bye")),
            ("DEFER_IF_PERMIT", Answer::DeferIfPermit("4.7.1", "")),
            ("defer_if_reject 4.7.9 x", Answer::DeferIfReject("4.7.9", "x")),
            ("HOLD look", Answer::Hold("look")),
            ("DISCARD", Answer::Discard("")),
            ("BCC <A@B.org>", Answer::Bcc(Address::new("A", "b.org"))),
            ("REDIRECT a@b.org", Answer::Redirect(Address::new("a", "b.org"))),
            ("REDIRECT a", Answer::Broken("REDIRECT needs user@domain")),
            ("PREPEND X-Spam: yes: it is", Answer::Prepend("X-Spam", "yes: it is")),
            ("PREPEND X Spam: yes", Answer::Broken("PREPEND needs a header: text")),
            ("WARN hm", Answer::Warn("hm")),
            ("INFO", Answer::Info("")),
            ("permit_mynetworks, reject", Answer::Restrictions("permit_mynetworks, reject")),
            ("250 fine", Answer::Restrictions("250 fine")),
            ("+50 fine", Answer::Restrictions("+50 fine")),
        ] {
            assert_eq!(answer(value), expected, "{value}");
        }
    }
}
