//! Whose an address is: the operator's domains, and the class of an address by its domain.
//!
//! The class decides about relaying, so it is the host's to say, never a plugin's.

use std::collections::HashMap;

use facteur_smtp::Address;

use crate::extension::Delimiter;

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Delivered to a mailbox of this machine.
    Local,
    /// Exists only as what a virtual map makes of it.
    VirtualAlias,
    /// Delivered to a mailbox without a system user.
    VirtualMailbox,
    /// Sent on, for everyone.
    Relay,
    /// Everyone else's.
    Other,
}

impl Class {
    /// The word of the configuration and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::VirtualAlias => "virtual-alias",
            Self::VirtualMailbox => "virtual-mailbox",
            Self::Relay => "relay",
            Self::Other => "other",
        }
    }
}

/// `[domains]`.
#[derive(Debug, Clone, Default)]
pub struct Domains {
    origin: String,
    delimiter: Delimiter,
    exact: HashMap<String, Class>,
    /// From ".example.org": subdomains only.
    below: HashMap<String, Class>,
}

impl Domains {
    /// `origin` is what a bare name means. Each list holds domains; one with a leading dot stands
    /// for its subdomains only.
    pub fn new<'a>(origin: &str, lists: impl IntoIterator<Item = (Class, &'a [String])>) -> Self {
        let mut domains = Self { origin: origin.to_lowercase(), ..Self::default() };
        for (class, list) in lists {
            for domain in list {
                let domain = domain.to_lowercase();
                match domain.strip_prefix('.') {
                    Some(parent) => domains.below.insert(parent.to_owned(), class),
                    None => domains.exact.insert(domain, class),
                };
            }
        }
        domains
    }

    /// The same with what parts an extension from a user; before it nothing does.
    #[must_use]
    pub fn with_delimiter(self, delimiter: Delimiter) -> Self {
        Self { delimiter, ..self }
    }

    /// What parts an extension from a user.
    pub fn delimiter(&self) -> &Delimiter {
        &self.delimiter
    }

    /// What a bare name means.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The class of a domain: an exact entry, else the nearest parent's.
    pub fn class(&self, domain: &str) -> Class {
        if let Some(class) = self.exact.get(domain) {
            return *class;
        }
        let mut rest = domain;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(class) = self.below.get(parent) {
                return *class;
            }
            rest = parent;
        }
        Class::Other
    }

    /// The class of an address. A bare name is judged as one of `origin`.
    pub fn class_of(&self, address: &Address) -> Class {
        self.class(if address.is_bare() { &self.origin } else { address.domain() })
    }

    /// The address with the origin in place of a missing domain. One that is too long with it stays
    /// bare, and is nobody's.
    pub fn complete(&self, address: Address) -> Address {
        if address.is_bare() {
            address.with_domain(&self.origin).unwrap_or(address)
        } else {
            address
        }
    }
}

/// Whether the local part tries to route by itself (RFC 5321 section 3.6.1, appendix F.2): such a
/// recipient is relayed for nobody whom a plugin doesn't vouch for.
pub(crate) fn routes_by_itself(address: &Address) -> bool {
    address.local().contains(['@', '%', '!'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_dot_is_for_subdomains_only() {
        let relay = [".via.ecp.fr".to_owned()];
        let local = ["sulfura.via.ecp.fr".to_owned()];
        let domains =
            Domains::new("via.ecp.fr", [(Class::Local, &local[..]), (Class::Relay, &relay[..])]);
        assert_eq!(domains.class("via.ecp.fr"), Class::Other);
        assert_eq!(domains.class("a.b.via.ecp.fr"), Class::Relay);
        assert_eq!(domains.class("sulfura.via.ecp.fr"), Class::Local);
        assert_eq!(domains.class("notvia.ecp.fr"), Class::Other);
        assert_eq!(domains.class(""), Class::Other);
    }
}
