//! The name of a login, in the one form of names and addresses: what tables, logs and plugins see.

/// The longest, in bytes: an address (RFC 5321 section 4.5.3.1) fits.
const LIMIT: usize = 320;

/// The name in its form. None: that can be nobody's.
pub(crate) fn login(name: &str) -> Option<String> {
    let right = !name.is_empty() && name.len() <= LIMIT && !name.chars().any(char::is_control);
    right.then(|| facteur_smtp::key(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::login;

    #[test]
    fn a_name_has_one_form_and_can_go_into_a_log() {
        assert_eq!(login("Louen@XN--BCHER-KVA.test").as_deref(), Some("louen@bücher.test"));
        for wrong in ["", "a\r\nb", "a\0", "a\u{85}b", &"x".repeat(321)] {
            assert_eq!(login(wrong), None, "{wrong:?}");
        }
    }
}
