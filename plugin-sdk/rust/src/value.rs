//! The values of Postfix's tables: access(5), `header_checks`(5). A word says what to do, and the
//! text after it with what.

use crate::MailAddress;

/// The contract's limits for a header, in bytes.
const NAME_LIMIT: usize = 64;
const VALUE_LIMIT: usize = 8_192;

/// The word that a value begins with, and the text after it.
pub fn split(value: &str) -> (&str, &str) {
    let value = value.trim();
    value.split_once([' ', '\t']).map_or((value, ""), |(word, text)| (word, text.trim_start()))
}

/// A mail address with a domain, with or without its brackets; none if it is none.
pub fn address(text: &str) -> Option<MailAddress> {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>');
    let (local, domain) = text.rsplit_once('@')?;
    let whole = !local.is_empty() && !domain.is_empty() && !text.contains([' ', '\t']);
    whole.then(|| MailAddress::new(local, domain.to_ascii_lowercase()))
}

/// Name and value of a header, `Name: value`; none if the contract wouldn't take it.
pub fn header(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(':')?;
    let is_name =
        (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    let value = value.trim();
    (is_name && value.len() <= VALUE_LIMIT && !value.contains(['\0', '\r', '\n']))
        .then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::{address, header, split};
    use crate::MailAddress;

    #[test]
    fn a_word_and_what_follows() {
        assert_eq!(split(" REJECT \t go away "), ("REJECT", "go away"));
        assert_eq!(split("OK"), ("OK", ""));
    }

    #[test]
    fn only_what_can_be_used_is_read() {
        assert_eq!(address("<A@B.org>"), Some(MailAddress::new("A", "b.org")));
        for text in ["a", "@b.org", "a@", "a b@c.org"] {
            assert_eq!(address(text), None, "{text}");
        }
        assert_eq!(header("X-Spam: yes: it is"), Some(("X-Spam", "yes: it is")));
        for text in ["no header", ": x", "X Y: z", "X: a\nb"] {
            assert_eq!(header(text), None, "{text}");
        }
    }
}
