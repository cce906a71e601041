//! access(5): what a table's value means. Which keys it is asked is the SDK's `access`.

use facteur_plugin::{Address, status};

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
    let (word, text) =
        value.split_once([' ', '\t']).map_or((value, ""), |(word, text)| (word, text.trim_start()));
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
        header(text).map_or(Answer::Broken("PREPEND needs a header: text"), |(name, value)| {
            Answer::Prepend(name, value)
        })
    } else if is("OK") || is("RELAY") || value.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits: a time stamp that some tools write. So is nothing at all, as from the dark
        // ages.
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
    let named =
        (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    let value = value.trim();
    (named && value.len() <= VALUE_LIMIT && !value.contains(['\0', '\r', '\n']))
        .then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

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
