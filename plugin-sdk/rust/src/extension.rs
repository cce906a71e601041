//! Address extensions: `user+foo` is `user`, where the operator set a recipient delimiter
//! (Postfix's `recipient_delimiter`).

/// The user and the extension with its delimiter: `user+foo` gives `("user", "+foo")`. `delimiters`
/// is a set of characters; the first that occurs counts. None if there is no extension, or nothing
/// before it.
///
/// As Postfix does it, the names that belong to the mail system are never split, nor are
/// `owner-list` and `list-request` where the delimiter is the hyphen.
pub fn split<'a>(local: &'a str, delimiters: &str) -> Option<(&'a str, &'a str)> {
    let named = |name: &str| local.eq_ignore_ascii_case(name);
    if named("postmaster") || named("mailer-daemon") || named("double-bounce") {
        return None;
    }
    let at = local.find(|c| delimiters.contains(c)).filter(|at| *at > 0)?;
    if local[at..].starts_with('-') {
        let lower = local.to_ascii_lowercase();
        if lower.starts_with("owner-") || lower.ends_with("-request") {
            return None;
        }
    }
    Some(local.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn only_what_has_an_extension_is_split() {
        assert_eq!(split("user+foo+bar", "+"), Some(("user", "+foo+bar")));
        assert_eq!(split("user-foo", "+-"), Some(("user", "-foo")));
        assert_eq!(split("user+foo", ""), None);
        assert_eq!(split("+foo", "+"), None);
        assert_eq!(split("user", "+"), None);
        assert_eq!(split("Postmaster+x", "+"), Some(("Postmaster", "+x")));
        assert_eq!(split("mailer-daemon", "-"), None);
        assert_eq!(split("owner-list", "-"), None);
        assert_eq!(split("list-request", "-"), None);
    }
}
