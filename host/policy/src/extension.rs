//! Address extensions: `user+foo` is `user`, where the operator set a delimiter (Postfix's
//! `recipient_delimiter`).
//!
//! Which local parts are never split is said here alone: mailboxes ask it, and plugins by way of
//! `lookup.user`. What follows for a table or a mailbox is theirs.

/// Names that belong to the mail system (RFC 5321 section 4.5.1, and Postfix).
const NEVER_SPLIT: [&str; 3] = ["postmaster", "mailer-daemon", "double-bounce"];
/// Where the delimiter is a hyphen: the addresses of a list's owner and of its software.
const OWNER: &str = "owner-";
const REQUEST: &str = "-request";

/// `[domains] delimiter`: a set of characters, any of which parts an extension from a user; empty
/// where nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delimiter(Box<str>);

impl Delimiter {
    /// A set of characters.
    pub fn new(set: &str) -> Self {
        Self(set.into())
    }

    /// The user and the extension with its delimiter: `("user", "+foo")`. The first delimiter in
    /// the local part counts. None: there is nothing to split, or it is never split.
    pub fn split<'a>(&self, local: &'a str) -> Option<(&'a str, &'a str)> {
        let at = local.find(|c| self.0.contains(c)).filter(|at| *at > 0)?;
        if NEVER_SPLIT.iter().any(|name| local.eq_ignore_ascii_case(name)) {
            return None;
        }
        if self.0.contains('-') {
            let bytes = local.as_bytes();
            let starts = bytes.get(..OWNER.len());
            let ends = bytes.len().checked_sub(REQUEST.len()).map(|at| &bytes[at..]);
            if starts.is_some_and(|start| start.eq_ignore_ascii_case(OWNER.as_bytes()))
                || ends.is_some_and(|end| end.eq_ignore_ascii_case(REQUEST.as_bytes()))
            {
                return None;
            }
        }
        Some(local.split_at(at))
    }
}

#[cfg(test)]
mod tests {
    use super::Delimiter;

    #[test]
    fn only_what_has_an_extension_is_split() {
        for (local, set, split) in [
            ("user+foo+bar", "+", Some(("user", "+foo+bar"))),
            ("user-foo+bar", "+-", Some(("user", "-foo+bar"))),
            ("user+", "+", Some(("user", "+"))),
            ("rené+é", "+", Some(("rené", "+é"))),
            ("user+foo", "", None),
            ("user", "+", None),
            ("+foo", "+", None),
            ("+foo+bar", "+", None),
            ("Postmaster", "ost", None),
            ("Postmaster+x", "+", Some(("Postmaster", "+x"))),
            ("Mailer-Daemon", "-", None),
            ("double-bounce", "-", None),
            ("Owner-list", "-", None),
            ("owner-list+x", "+-", None),
            ("list-Request", "-", None),
            ("list+x-request", "+-", None),
            ("owner-list+x", "+", Some(("owner-list", "+x"))),
            ("list-request+x", "-", Some(("list", "-request+x"))),
        ] {
            assert_eq!(Delimiter::new(set).split(local), split, "{local} by {set}");
        }
    }
}
