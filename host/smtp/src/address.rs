//! A mail address in its one internal form.
//!
//! Invariants: the local part is unquoted, not empty and free of control characters; the domain is
//! in its one form ([`domain`]), or an address literal such as `[192.0.2.1]`, or empty for a bare
//! name; what `Display` writes parses back to an equal address. Does not know what
//! a domain means (local, relay) nor source routes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::domain;

/// Octets of `local@domain` in the internal form: a path is 256 octets with its brackets (RFC 5321
/// 4.5.3.1.3).
/// The 64 octets that 4.5.3.1.1 names for a local part are not held against anyone: that section
/// asks servers to impose no limits where they can, and bounce addresses (VERP, SRS, BATV) are
/// longer every day.
pub const MAX_ADDRESS: usize = 254;

/// Whom a message comes back to (RFC 5321 section 4.4): an envelope's sender. None is the null
/// sender, `<>`, which nothing comes back to.
pub type ReversePath = Option<Address>;

/// An address: local part and domain. Cheap to clone (one shared allocation).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// `local@domain`, unquoted; a bare name has no `@domain`.
    text: Arc<str>,
    /// Where the local part ends.
    local: usize,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing stands before the `@`.
    #[error("the local part of the address is empty")]
    EmptyLocalPart,
    /// A control character, or one that must be quoted and isn't.
    #[error("the local part of the address holds {0:?}, which must be quoted or left out")]
    LocalPart(char),
    /// A quoted string without its end.
    #[error("a quotation mark or backslash in the address is not closed")]
    Unclosed,
    /// The domain is no host name and no address literal.
    #[error("the domain of the address is neither a host name nor an address in brackets")]
    Domain,
    /// Longer than [`MAX_ADDRESS`].
    #[error("the address is longer than {MAX_ADDRESS} octets")]
    TooLong,
}

impl Address {
    /// An address of an unquoted local part and a domain in any form (any case, A-labels, literal,
    /// final dot).
    pub fn new(local: &str, domain: &str) -> Result<Self, AddressError> {
        let domain = domain::normal(domain).ok_or(AddressError::Domain)?;
        Self::build(local, Some(&domain))
    }

    /// A bare name, such as `postmaster`: an address without a domain.
    pub fn bare(local: &str) -> Result<Self, AddressError> {
        Self::build(local, None)
    }

    fn build(local: &str, domain: Option<&str>) -> Result<Self, AddressError> {
        if local.is_empty() {
            return Err(AddressError::EmptyLocalPart);
        }
        if let Some(bad) = local.chars().find(|character| character.is_control()) {
            return Err(AddressError::LocalPart(bad));
        }
        let text: Arc<str> = match domain {
            Some(domain) => format!("{local}@{domain}").into(),
            None => local.into(),
        };
        if text.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        Ok(Self { text, local: local.len() })
    }

    /// The local part, unquoted, in the case it came in.
    pub fn local(&self) -> &str {
        &self.text[..self.local]
    }

    /// The domain, lower-case, with U-labels; empty for a bare name.
    pub fn domain(&self) -> &str {
        self.text.get(self.local + 1..).unwrap_or("")
    }

    /// The domain as the DNS and servers without SMTPUTF8 know it, with A-labels.
    pub fn ascii_domain(&self) -> Cow<'_, str> {
        domain::ascii(self.domain())
    }

    /// Whether there is no domain.
    pub fn is_bare(&self) -> bool {
        self.local == self.text.len()
    }

    /// Whether a server must offer SMTPUTF8 (RFC 6531) to be told this address. A domain alone has
    /// an ASCII form.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local().is_ascii()
    }

    /// The same local part at another domain.
    pub fn with_domain(&self, domain: &str) -> Result<Self, AddressError> {
        Self::new(self.local(), domain)
    }

    /// `local@domain` without quotes: the form under which Postfix looks addresses up in tables.
    /// Not for the wire.
    pub fn as_unquoted(&self) -> &str {
        &self.text
    }

    /// The address as it stands in commands and headers of ASCII mail: quoted where needed, the
    /// domain with A-labels. Not ASCII only where [`Self::needs_smtputf8`] says so.
    pub fn wire(&self) -> String {
        let mut text = String::with_capacity(self.text.len() + 2);
        self.write_wire(&mut text);
        text
    }

    /// Appends [`Self::wire`].
    pub(crate) fn write_wire(&self, output: &mut String) {
        // Writing to a String can't fail.
        let _ = write_local(self.local(), output);
        if !self.is_bare() {
            output.push('@');
            output.push_str(&self.ascii_domain());
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Parses `a@b`, `"a b"@b`, `bare`. As Postfix, an unquoted `@` in the local part and misplaced
    /// dots are taken.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut local = String::with_capacity(text.len());
        // The last unquoted @: where it stands in the text and how much of the local part came
        // before it.
        let mut at = None;
        let mut quoted = false;
        let mut characters = text.char_indices();
        while let Some((position, character)) = characters.next() {
            match character {
                '"' => {
                    quoted = !quoted;
                    continue;
                }
                '\\' => {
                    let (_, escaped) = characters.next().ok_or(AddressError::Unclosed)?;
                    local.push(escaped);
                    continue;
                }
                _ if quoted => {}
                '@' => at = Some((position, local.len())),
                // An address literal: colons and brackets are only right after the last @, judged
                // below.
                '[' if at.is_some_and(|(last, _)| last + 1 == position) && text.ends_with(']') => {
                    break;
                }
                ' ' | '(' | ')' | '<' | '>' | '[' | ']' | ',' | ';' | ':' => {
                    return Err(AddressError::LocalPart(character));
                }
                _ => {}
            }
            local.push(character);
        }
        if quoted {
            return Err(AddressError::Unclosed);
        }
        match at {
            Some((position, length)) => Self::new(&local[..length], &text[position + 1..]),
            None => Self::bare(&local),
        }
    }
}

impl fmt::Display for Address {
    /// The local part is quoted where RFC 5321 4.1.2 needs it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_local(self.local(), formatter)?;
        if self.is_bare() { Ok(()) } else { write!(formatter, "@{}", self.domain()) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{self}>")
    }
}

/// Writes a local part, as a dot-string where it is one, else quoted.
fn write_local(local: &str, output: &mut impl fmt::Write) -> fmt::Result {
    let is_dot_string = local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
    if is_dot_string {
        return output.write_str(local);
    }
    output.write_char('"')?;
    for character in local.chars() {
        if matches!(character, '"' | '\\') {
            output.write_char('\\')?;
        }
        output.write_char(character)?;
    }
    output.write_char('"')
}

/// atext (RFC 5322 3.2.3) and what RFC 6531 3.3 adds to it.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError};

    fn parse(text: &str) -> Address {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn forms() {
        for (text, local, domain, written) in [
            ("a@b", "a", "b", "a@b"),
            (
                "Prenom.Nom@Sulfura.VIA.ecp.fr",
                "Prenom.Nom",
                "sulfura.via.ecp.fr",
                "Prenom.Nom@sulfura.via.ecp.fr",
            ),
            ("\"a b\"@b.", "a b", "b", "\"a b\"@b"),
            ("\"a\".b@c", "a.b", "c", "a.b@c"),
            ("a..b@c", "a..b", "c", "\"a..b\"@c"),
            ("\\a@c", "a", "c", "a@c"),
            ("postmaster", "postmaster", "", "postmaster"),
            (
                "x@elsewhere.org@via.ecp.fr",
                "x@elsewhere.org",
                "via.ecp.fr",
                "\"x@elsewhere.org\"@via.ecp.fr",
            ),
            (
                "x%elsewhere.org@via.ecp.fr",
                "x%elsewhere.org",
                "via.ecp.fr",
                "x%elsewhere.org@via.ecp.fr",
            ),
            ("a@[192.0.2.1]", "a", "[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[ipv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
            ("a@xn--MNCHEN-3ya.de", "a", "münchen.de", "a@münchen.de"),
            ("a@MÜNCHEN.de", "a", "münchen.de", "a@münchen.de"),
            ("a@xn--0.de", "a", "xn--0.de", "a@xn--0.de"),
            ("rené@b", "rené", "b", "rené@b"),
            ("a@under_score.de", "a", "under_score.de", "a@under_score.de"),
        ] {
            let address = parse(text);
            assert_eq!((address.local(), address.domain()), (local, domain), "{text}");
            assert_eq!(address.to_string(), written);
            assert_eq!(parse(&address.to_string()), address);
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "@b",
            "\"\"@b",
            "a b@c",
            "a@b c",
            "a@",
            "a@b..c",
            "a@.b",
            "a@-b.c",
            "a@b-.c",
            "a@1.2.3.4",
            "a@123",
            "a@１",
            "a@ａ-.c",
            "a@-\u{0}",
            "a\r\n@b",
            "\"a@b",
            "a\\",
            "a@[1.2.3]",
            "a@[IPv6:1]",
            "a@[192.0.2.1",
            "<a@b>",
            "a(comment)@b",
            "a@b,c@d",
            "a@x:y",
            "a@exam＠ple.org",
            "a@\"b\"",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        assert_eq!(format!("{}@b", "a".repeat(253)).parse::<Address>(), Err(AddressError::TooLong));
        assert!(format!("a@{}", "b".repeat(64)).parse::<Address>().is_err());
        assert!(Address::bare("a\n").is_err());
    }

    #[test]
    fn a_bare_name_with_an_at_sign_stays_bare() {
        let address = Address::bare("a@b").unwrap();
        assert_ne!(address, parse("a@b"));
        assert_eq!(parse(&address.to_string()), address);
    }

    #[test]
    fn the_wire_has_ascii_domains() {
        let address = parse("a@münchen.de");
        assert_eq!(address.ascii_domain(), "xn--mnchen-3ya.de");
        assert_eq!(parse("\"a b\"@münchen.de").wire(), "\"a b\"@xn--mnchen-3ya.de");
        assert!(!address.needs_smtputf8());
        assert!(parse("é@b").needs_smtputf8());
    }
}
