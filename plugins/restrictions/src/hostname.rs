//! Whether a text is a host name or an address, by Postfix's rules, which are laxer than RFC 1123
//! (underscores) and stricter (no name of digits alone).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name and the longest label, in bytes (RFC 1035).
const NAME_LIMIT: usize = 255;
const LABEL_LIMIT: usize = 63;

/// A host name without a dot at its end. `utf8`: its labels may be U-labels.
pub fn is_hostname(name: &str, utf8: bool) -> bool {
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_LIMIT
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| {
                c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || utf8 && !c.is_ascii()
            })
    };
    name.len() <= NAME_LIMIT
        && name.split('.').all(label_ok)
        && !name.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// A host name with at least one dot in it.
pub fn is_fqdn(name: &str, utf8: bool) -> bool {
    is_hostname(name, utf8) && name.contains('.')
}

/// The name without one dot at its end; two are left alone.
pub fn without_final_dot(name: &str) -> &str {
    match name.strip_suffix('.') {
        Some(rest) if !rest.is_empty() && !rest.ends_with('.') => rest,
        _ => name,
    }
}

/// An IP address without brackets.
pub fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// What stands in HELO's brackets, or stands there instead: an IPv4 address, or `IPv6:` and an
/// address (RFC 5321 section 4.1.3).
pub fn is_address_literal(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|inner| !inner.is_empty());
    let inner = inner.unwrap_or(text);
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_postfixs() {
        for good in ["toto.plop.com", "localhost", "a_b.example", "1.example", "x-y"] {
            assert!(is_hostname(good, false), "{good}");
        }
        for bad in [
            "",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a b",
            "a@b",
            "1.2.3.4",
            "é.fr",
            "a.-b",
            &"x".repeat(64),
        ] {
            assert!(!is_hostname(bad, false), "{bad}");
        }
        assert!(is_hostname("é.fr", true));
        assert!(!is_hostname(&"a.".repeat(127).repeat(2), false));
        assert!(is_fqdn("a.b", false) && !is_fqdn("localhost", false));
    }

    #[test]
    fn one_final_dot_is_cut() {
        assert_eq!(without_final_dot("a.b."), "a.b");
        assert_eq!(without_final_dot("a.b.."), "a.b..");
        assert_eq!(without_final_dot("."), ".");
    }

    #[test]
    fn literals() {
        for good in ["[192.0.2.1]", "[IPv6:::1]", "[ipv6:2001:db8::1]", "192.0.2.1"] {
            assert!(is_address_literal(good), "{good}");
        }
        for bad in ["[192.0.2.300]", "[::1]", "[]", "[x]", "[192.0.2.1", "::1"] {
            assert!(!is_address_literal(bad), "{bad}");
        }
    }
}
