//! What a table's value says: a word, in any case, and a text.

use facteur_plugin::{MailAddress, status, value};

/// What to do about the header that matched.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Nothing.
    Dunno,
    /// Refuse the message: status, and text (empty: the usual one).
    Reject(&'a str, &'a str),
    /// Say yes, and throw the message away.
    Discard(&'a str),
    /// Keep the message until an operator releases it.
    Hold(&'a str),
    /// Take the header out; the text is logged, if there is any.
    Remove(Option<&'a str>),
    /// Put this name and value in its place.
    Replace(&'a str, &'a str),
    /// Put this name and value before it.
    Prepend(&'a str, &'a str),
    /// Send the message there instead.
    Redirect(MailAddress),
    /// Send a copy there.
    Bcc(MailAddress),
    /// For the log.
    Info(&'a str),
    /// For the log.
    Warn(&'a str),
}

/// Reads a value; an error says what is wrong with it.
pub fn action(value: &str) -> Result<Action<'_>, String> {
    let (word, text) = value::split(value);
    let needs_header = || format!("{word} needs a header: NAME: TEXT");
    let needs_address = || format!("{word} needs an address: USER@DOMAIN");
    Ok(match word.to_ascii_uppercase().as_str() {
        "DUNNO" | "OK" => Action::Dunno,
        "REJECT" => {
            let (status, text) = status::split(text);
            let status = status.unwrap_or("5.7.1");
            if !status.starts_with('5') {
                return Err(format!("REJECT with the status {status}: it begins with a 5"));
            }
            Action::Reject(status, text)
        }
        "DISCARD" => Action::Discard(text),
        "HOLD" => Action::Hold(text),
        "IGNORE" => Action::Remove(None),
        "STRIP" => Action::Remove(Some(text)),
        "REPLACE" => value::header(text)
            .map(|(name, value)| Action::Replace(name, value))
            .ok_or_else(needs_header)?,
        "PREPEND" => value::header(text)
            .map(|(name, value)| Action::Prepend(name, value))
            .ok_or_else(needs_header)?,
        "REDIRECT" => Action::Redirect(value::address(text).ok_or_else(needs_address)?),
        "BCC" => Action::Bcc(value::address(text).ok_or_else(needs_address)?),
        "INFO" => Action::Info(text),
        "WARN" => Action::Warn(text),
        "FILTER" => {
            return Err(
                "FILTER can't be done: where mail goes next is the transport plugins' to say"
                    .into(),
            );
        }
        "PASS" | "DELAY" => return Err(format!("{word} can't be done here")),
        _ => return Err(format!("{word} is no action of header_checks")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        for (value, expected) in [
            ("DUNNO", Action::Dunno),
            ("ok", Action::Dunno),
            ("REJECT", Action::Reject("5.7.1", "")),
            ("reject\tno such mail", Action::Reject("5.7.1", "no such mail")),
            ("REJECT 5.6.0 no such mail", Action::Reject("5.6.0", "no such mail")),
            ("DISCARD why", Action::Discard("why")),
            ("HOLD", Action::Hold("")),
            ("IGNORE", Action::Remove(None)),
            ("STRIP it is long", Action::Remove(Some("it is long"))),
            ("REPLACE Subject: [x] y: z", Action::Replace("Subject", "[x] y: z")),
            ("PREPEND X-Seen:", Action::Prepend("X-Seen", "")),
            ("REDIRECT <A@B.org>", Action::Redirect(MailAddress::new("A", "b.org"))),
            ("BCC a@b.org", Action::Bcc(MailAddress::new("a", "b.org"))),
            ("INFO hm", Action::Info("hm")),
            ("WARN", Action::Warn("")),
        ] {
            assert_eq!(action(value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (value, words) in [
            ("FILTER smtp:[192.0.2.1]", "FILTER can't be done"),
            ("REJECT 4.7.1 later", "begins with a 5"),
            ("REPLACE nothing", "REPLACE needs a header"),
            ("PREPEND X Y: z", "PREPEND needs a header"),
            ("BCC root", "BCC needs an address"),
            ("550 no", "550 is no action"),
            ("", "is no action"),
        ] {
            let told = action(value).unwrap_err();
            assert!(told.contains(words), "{value}: {told}");
        }
    }
}
