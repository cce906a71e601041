//! The keys under which tables have what is asked about: Postfix's, by the manual that says which
//! (access(5), virtual(5), aliases(5), transport(5)), best first.
//!
//! Nothing is looked up here. Keys are in lower case, as tables compare them.

use std::net::IpAddr;

use facteur_smtp::Address;

use crate::domains::{Class, Domains};
use crate::extension::Delimiter;

/// The most keys of one lookup; no address has more.
pub(crate) const KEYS_LIMIT: usize = 64;
/// As many as most subjects have.
const USUAL: usize = 8;
/// How many parents of a domain are counted, from the top: with the other keys of a lookup they fit
/// into [`KEYS_LIMIT`], twice each. No domain in use is this deep; counting from the top means that
/// nobody gets around a table by a deeper name.
const PARENTS_LIMIT: usize = 24;
/// The null sender as a key (Postfix's `smtpd_null_access_lookup_key`).
const NULL_SENDER: &str = "<>";
/// The key of a client that has no verified name.
pub(crate) const NO_NAME: &str = "unknown";

/// Whose manual says which keys an address has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// access(5)
    Access,
    /// virtual(5) and its kin
    Address,
    /// aliases(5)
    Alias,
    /// transport(5)
    Transport,
    /// transport(5), by the domain alone
    Domain,
}

/// A key in lower case.
pub(crate) fn folded(key: &mut String) {
    if key.chars().any(char::is_uppercase) {
        *key = key.to_lowercase();
    }
}

/// Keys of one subject, best first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub all: Vec<String>,
    /// Those that are the address without its extension, by their numbers.
    shortened: Vec<usize>,
}

/// The keys of an address of this host's tables by virtual(5) and its kin, best first:
/// `user+ext@domain`, `user@domain`; for a domain of class `local` `user+ext` and `user`;
/// `@domain`.
pub fn address_keys(domains: &Domains, address: &Address) -> Vec<String> {
    let class = domains.class_of(address);
    Keys::of_address(Some(address), class, domains.delimiter(), Manner::Address).all
}

impl Keys {
    fn add(&mut self, mut key: String) {
        folded(&mut key);
        if self.all.capacity() == 0 {
            self.all.reserve(USUAL);
        }
        self.all.push(key);
    }

    fn add_shortened(&mut self, key: Option<String>) {
        if let Some(key) = key {
            self.shortened.push(self.all.len());
            self.add(key);
        }
    }

    /// A name and the domains above it, each with a leading dot and without. An address has none
    /// above it.
    fn add_name(&mut self, name: &str) {
        if name.is_empty() {
            return;
        }
        self.add(name.to_owned());
        if name.parse::<IpAddr>().is_ok() {
            return;
        }
        for parent in parents(name) {
            self.add(format!(".{parent}"));
            self.add(parent.to_owned());
        }
    }

    /// Whether this key is the address without its extension.
    pub(crate) fn is_shortened(&self, key: usize) -> bool {
        self.shortened.contains(&key)
    }

    /// Of a name: a client's, or what HELO said.
    pub(crate) fn of_name(name: &str) -> Self {
        let mut keys = Self::default();
        keys.add_name(name);
        keys
    }

    /// Of an IP address: itself and its networks, octet by octet.
    pub(crate) fn of_ip(address: IpAddr) -> Self {
        let address = address.to_string();
        let delimiter = if address.contains(':') { ':' } else { '.' };
        let mut keys = Self::default();
        let mut rest = &*address;
        keys.add(rest.to_owned());
        while let Some((network, _)) = rest.rsplit_once(delimiter) {
            if !network.is_empty() {
                keys.add(network.to_owned());
            }
            rest = network;
        }
        keys
    }

    /// Of an address of this class; none is the null sender. Empty where no table of that kind can
    /// have it.
    pub(crate) fn of_address(
        address: Option<&Address>,
        class: Class,
        delimiter: &Delimiter,
        manner: Manner,
    ) -> Self {
        let mut keys = Self::default();
        let Some(address) = address else {
            if manner == Manner::Access {
                keys.add(NULL_SENDER.to_owned());
            }
            return keys;
        };
        let (local, domain) = (address.local(), address.domain());
        let user = delimiter.split(local).map(|(user, _)| user);
        let at = |local: &str| format!("{local}@{domain}");
        match manner {
            Manner::Access => {
                keys.add(at(local));
                keys.add_shortened(user.map(at));
                keys.add_name(domain);
                keys.add(format!("{local}@"));
                keys.add_shortened(user.map(|user| format!("{user}@")));
            }
            Manner::Address => {
                keys.add(at(local));
                keys.add_shortened(user.map(at));
                // A name that holds an @ would pass for an address of another domain.
                if class == Class::Local && !local.contains('@') {
                    keys.add(local.to_owned());
                    keys.add_shortened(user.map(str::to_owned));
                }
                // It matches the extension too.
                keys.add(format!("@{domain}"));
            }
            Manner::Alias if class == Class::Local => {
                keys.add(local.to_owned());
                keys.add_shortened(user.map(str::to_owned));
            }
            Manner::Alias => {}
            Manner::Transport | Manner::Domain => {
                if manner == Manner::Transport {
                    keys.add(at(local));
                    keys.add_shortened(user.map(at));
                }
                keys.add(domain.to_owned());
                for parent in parents(domain) {
                    keys.add(format!(".{parent}"));
                }
                keys.add("*".to_owned());
            }
        }
        keys
    }
}

/// The domains above this one, nearest first, without a leading dot: `a.b.c` gives `b.c` and `c`.
/// None for an address literal.
fn parents(domain: &str) -> impl Iterator<Item = &str> {
    let literal = domain.starts_with('[');
    let all = || domain.match_indices('.').map(|(dot, _)| &domain[dot + 1..]);
    let count = if literal { 0 } else { all().count() };
    all().skip(count.saturating_sub(PARENTS_LIMIT)).take(count).filter(|parent| !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(local: &str, domain: &str, class: Class, manner: Manner) -> Keys {
        let address = Address::new(local, domain).unwrap();
        Keys::of_address(Some(&address), class, &Delimiter::new("+"), manner)
    }

    fn other(local: &str, domain: &str, manner: Manner) -> Vec<String> {
        keys(local, domain, Class::Other, manner).all
    }

    #[test]
    fn a_name_and_an_ip_address_have_those_above_them() {
        let name = |name| Keys::of_name(name).all;
        assert_eq!(name("a.b.org"), ["a.b.org", ".b.org", "b.org", ".org", "org"]);
        assert_eq!(name("192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(name(NO_NAME), ["unknown"]);
        assert_eq!(name("c."), ["c."]);
        assert!(name("").is_empty());
        let ip = |address: &str| Keys::of_ip(address.parse().unwrap()).all;
        assert_eq!(ip("192.0.2.1"), ["192.0.2.1", "192.0.2", "192.0", "192"]);
        assert_eq!(ip("2001:db8::1"), ["2001:db8::1", "2001:db8:", "2001:db8", "2001"]);
        assert_eq!(ip("::1"), ["::1", ":"]);
    }

    #[test]
    fn access_asks_for_the_address_its_domains_and_its_user() {
        let found = keys("user+foo", "b.org", Class::Other, Manner::Access);
        let all = ["user+foo@b.org", "user@b.org", "b.org", ".org", "org", "user+foo@", "user@"];
        assert_eq!(found.all, all);
        let shortened: Vec<usize> = (0..all.len()).filter(|key| found.is_shortened(*key)).collect();
        assert_eq!(shortened, [1, 6]);
        assert_eq!(
            other("u", "[192.0.2.1]", Manner::Access),
            ["u@[192.0.2.1]", "[192.0.2.1]", "u@"]
        );
        let null = |manner| Keys::of_address(None, Class::Other, &Delimiter::default(), manner).all;
        assert_eq!(null(Manner::Access), ["<>"]);
        assert!(null(Manner::Address).is_empty() && null(Manner::Transport).is_empty());
    }

    #[test]
    fn virtual_tables_and_aliases_ask_for_bare_names_of_this_machine_only() {
        let found = keys("user+foo", "b.org", Class::Local, Manner::Address);
        assert_eq!(found.all, ["user+foo@b.org", "user@b.org", "user+foo", "user", "@b.org"]);
        assert!(found.is_shortened(1) && found.is_shortened(3) && !found.is_shortened(4));
        assert_eq!(other("user", "b.org", Manner::Address), ["user@b.org", "@b.org"]);
        let local = keys("a@c.org", "b.org", Class::Local, Manner::Address).all;
        assert_eq!(local, ["a@c.org@b.org", "@b.org"]);
        assert_eq!(
            keys("user+foo", "b.org", Class::Local, Manner::Alias).all,
            ["user+foo", "user"]
        );
        assert!(other("user+foo", "b.org", Manner::Alias).is_empty());
    }

    #[test]
    fn transport_goes_from_the_address_to_the_wildcard() {
        let all = ["user+foo@a.b.org", "user@a.b.org", "a.b.org", ".b.org", ".org", "*"];
        assert_eq!(other("user+foo", "a.b.org", Manner::Transport), all);
        assert_eq!(other("user+foo", "a.b.org", Manner::Domain), all[2..]);
    }

    #[test]
    fn a_deep_name_keeps_its_top_and_makes_not_too_many_keys() {
        let deep = format!("{}evil.example", "a.".repeat(100));
        let all = Keys::of_name(&deep).all;
        assert!(all.len() < KEYS_LIMIT - 8, "{}", all.len());
        assert_eq!(all[all.len() - 4..], [".evil.example", "evil.example", ".example", "example"]);
    }
}
