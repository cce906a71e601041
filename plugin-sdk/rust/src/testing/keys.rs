//! Postfix's keys for what is asked about, as the host makes them.

use std::net::IpAddr;

use crate::lookup::Manner;
use crate::{MailAddress, RecipientClass};

/// A key, and whether it is that of the address without its extension.
pub type Key = (String, bool);

fn plain(keys: impl IntoIterator<Item = String>) -> Vec<Key> {
    keys.into_iter().map(|key| (key, false)).collect()
}

/// The domains above this one, nearest first.
fn parents(domain: &str) -> impl Iterator<Item = &str> {
    let literal = domain.starts_with('[') || domain.parse::<IpAddr>().is_ok();
    domain.match_indices('.').filter(move |_| !literal).map(|(dot, _)| &domain[dot + 1..])
}

/// A name and the domains above it, each with a leading dot and without.
pub fn name(name: &str) -> Vec<Key> {
    let above = parents(name).flat_map(|parent| [format!(".{parent}"), parent.to_owned()]);
    plain([name.to_owned()].into_iter().chain(above))
}

/// An IP address and its networks, octet by octet.
pub fn address(address: &str) -> Vec<Key> {
    let delimiter = if address.contains(':') { ':' } else { '.' };
    let above = address.rmatch_indices(delimiter).map(|(end, _)| address[..end].to_owned());
    let above = above.filter(|network| !network.is_empty());
    plain([address.to_owned()].into_iter().chain(above))
}

/// Those of a mail address; `user` is its local part without the extension, where it has one. None:
/// the null sender.
pub fn mail(
    of: Option<&MailAddress>,
    user: Option<&str>,
    class: RecipientClass,
    manner: Manner,
) -> Vec<Key> {
    let Some(MailAddress { local, domain }) = of else {
        return if manner == Manner::Access { plain(["<>".to_owned()]) } else { Vec::new() };
    };
    // The same for the whole local part and for the user alone.
    let both = |make: &dyn Fn(&str) -> String| {
        let user = user.map(|user| (make(user), true));
        [(make(local), false)].into_iter().chain(user).collect::<Vec<Key>>()
    };
    let at_domain = both(&|local| format!("{local}@{domain}"));
    let bare = both(&str::to_owned);
    let here = class == RecipientClass::Local;
    let above = plain(parents(domain).map(|parent| format!(".{parent}")));
    let domains = [plain([domain.clone()]), above, plain(["*".to_owned()])].concat();
    match manner {
        Manner::Access => [at_domain, name(domain), both(&|local| format!("{local}@"))].concat(),
        // A name that holds an @ would pass for an address of another domain.
        Manner::Address if here && !local.contains('@') => {
            [at_domain, bare, plain([format!("@{domain}")])].concat()
        }
        Manner::Address => [at_domain, plain([format!("@{domain}")])].concat(),
        Manner::Alias => {
            if here {
                bare
            } else {
                Vec::new()
            }
        }
        Manner::Transport => [at_domain, domains].concat(),
        Manner::Domain => domains,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(class: RecipientClass, manner: Manner) -> Vec<String> {
        let keys = mail(Some(&MailAddress::new("u+x", "a.b")), Some("u"), class, manner);
        keys.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn keys_are_in_postfix_order() {
        use RecipientClass::{Local, Relay};
        assert_eq!(
            keys(Relay, Manner::Access),
            ["u+x@a.b", "u@a.b", "a.b", ".b", "b", "u+x@", "u@"]
        );
        assert_eq!(keys(Local, Manner::Address), ["u+x@a.b", "u@a.b", "u+x", "u", "@a.b"]);
        assert_eq!(keys(Relay, Manner::Address), ["u+x@a.b", "u@a.b", "@a.b"]);
        assert_eq!(keys(Local, Manner::Alias), ["u+x", "u"]);
        assert_eq!(keys(Relay, Manner::Alias), [""; 0]);
        assert_eq!(keys(Relay, Manner::Transport), ["u+x@a.b", "u@a.b", "a.b", ".b", "*"]);
        let of = |keys: Vec<Key>| keys.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(of(address("192.0.2.1")), ["192.0.2.1", "192.0.2", "192.0", "192"]);
        assert_eq!(of(address("2001:db8::1")), ["2001:db8::1", "2001:db8:", "2001:db8", "2001"]);
        assert_eq!(of(name("a.b.org")), ["a.b.org", ".b.org", "b.org", ".org", "org"]);
    }
}
