//! access(5): what a table's value means. Which keys it is asked is the SDK's `access`.

use facteur_plugin::{MailAddress, status, value};

/// What a value says.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    Permit,
    Dunno,
    /// Code, status and text; where the text is empty, the usual one.
    Refuse(u16, &'a str, &'a str),
    DeferIfPermit(&'a str, &'a str),
    DeferIfReject(&'a str, &'a str),
    Discard(&'a str),
    Hold(&'a str),
    Redirect(MailAddress),
    Bcc(MailAddress),
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
pub fn action(value: &str) -> Action<'_> {
    let value = value.trim();
    let (word, text) = value::split(value);
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    let with_status = |default| {
        let (status, text) = status::split(text);
        (status.unwrap_or(default), text)
    };
    if is("DUNNO") {
        Action::Dunno
    } else if is("REJECT") {
        let (status, text) = with_status("5.7.1");
        Action::Refuse(554, status, text)
    } else if is("DEFER") {
        let (status, text) = with_status("4.7.1");
        Action::Refuse(450, status, text)
    } else if is("DEFER_IF_PERMIT") {
        let (status, text) = with_status("4.7.1");
        Action::DeferIfPermit(status, text)
    } else if is("DEFER_IF_REJECT") {
        let (status, text) = with_status("4.7.1");
        Action::DeferIfReject(status, text)
    } else if is("INFO") {
        Action::Info(text)
    } else if is("WARN") {
        Action::Warn(text)
    } else if is("HOLD") {
        Action::Hold(text)
    } else if is("DISCARD") {
        Action::Discard(text)
    } else if is("REDIRECT") {
        value::address(text).map_or(Action::Broken("REDIRECT needs user@domain"), Action::Redirect)
    } else if is("BCC") {
        value::address(text).map_or(Action::Broken("BCC needs user@domain"), Action::Bcc)
    } else if is("PREPEND") {
        value::header(text)
            .map_or(Action::Broken("PREPEND needs a header: text"), |(name, value)| {
                Action::Prepend(name, value)
            })
    } else if is("OK") || is("RELAY") || value.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits: a time stamp that some tools write. So is nothing at all, as from the dark
        // ages.
        Action::Permit
    } else if let (Some(code), false) = (reply_code(word), text.is_empty()) {
        let (status, text) = with_status(if code < 500 { "4.7.1" } else { "5.7.1" });
        Action::Refuse(code, status, text)
    } else {
        Action::Restrictions(value)
    }
}

fn reply_code(word: &str) -> Option<u16> {
    let code = word.parse().ok().filter(|_| word.len() == 3)?;
    (400..=599).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        for (value, expected) in [
            ("OK", Action::Permit),
            ("ok thanks", Action::Permit),
            ("relay", Action::Permit),
            ("1234567890", Action::Permit),
            ("550", Action::Permit),
            ("", Action::Permit),
            ("DUNNO whatever", Action::Dunno),
            ("REJECT", Action::Refuse(554, "5.7.1", "")),
            ("reject\tgo away", Action::Refuse(554, "5.7.1", "go away")),
            ("REJECT 5.7.0 go away", Action::Refuse(554, "5.7.0", "go away")),
            ("DEFER later", Action::Refuse(450, "4.7.1", "later")),
            ("550 5.1.1 nobody", Action::Refuse(550, "5.1.1", "nobody")),
            ("450 later", Action::Refuse(450, "4.7.1", "later")),
            ("521 bye", Action::Refuse(521, "5.7.1", "bye")),
            ("DEFER_IF_PERMIT", Action::DeferIfPermit("4.7.1", "")),
            ("defer_if_reject 4.7.9 x", Action::DeferIfReject("4.7.9", "x")),
            ("HOLD look", Action::Hold("look")),
            ("DISCARD", Action::Discard("")),
            ("BCC <A@B.org>", Action::Bcc(MailAddress::new("A", "b.org"))),
            ("REDIRECT a@b.org", Action::Redirect(MailAddress::new("a", "b.org"))),
            ("REDIRECT a", Action::Broken("REDIRECT needs user@domain")),
            ("PREPEND X-Spam: yes: it is", Action::Prepend("X-Spam", "yes: it is")),
            ("PREPEND X Spam: yes", Action::Broken("PREPEND needs a header: text")),
            ("WARN hm", Action::Warn("hm")),
            ("INFO", Action::Info("")),
            ("permit_mynetworks, reject", Action::Restrictions("permit_mynetworks, reject")),
            ("250 fine", Action::Restrictions("250 fine")),
            ("+50 fine", Action::Restrictions("+50 fine")),
        ] {
            assert_eq!(action(value), expected, "{value}");
        }
    }
}
