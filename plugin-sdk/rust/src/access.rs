//! Tables that are asked about a client or an address, with Postfix's keys (access(5)).

use std::net::IpAddr;

use crate::lookup::{self, Error, Found, find_in};
use crate::{Address, Session, domain};

/// The null sender as a key (Postfix's `smtpd_null_access_lookup_key`).
pub const NULL_SENDER: &str = "<>";
/// The key of a client that has no verified name.
pub const NO_NAME: &str = "unknown";

/// A name and the domains above it, each with and without a leading dot. An address has none above
/// it.
pub fn name_keys(name: &str) -> Vec<String> {
    let mut keys = Vec::with_capacity(8);
    add_name(&mut keys, name);
    keys
}

fn add_name(keys: &mut Vec<String>, name: &str) {
    if name.is_empty() {
        return;
    }
    keys.push(name.to_owned());
    if name.parse::<IpAddr>().is_ok() {
        return;
    }
    for parent in domain::parents(name) {
        keys.push(format!(".{parent}"));
        keys.push(parent.to_owned());
    }
}

/// An IP address and its networks, octet by octet: `192.0.2.1`, `192.0.2`, `192.0`, `192`.
pub fn address_keys(address: &str) -> Vec<String> {
    let delimiter = if address.contains(':') { ':' } else { '.' };
    let mut keys = vec![address.to_owned()];
    let mut rest = address;
    while let Some((network, _)) = rest.rsplit_once(delimiter) {
        if !network.is_empty() {
            keys.push(network.to_owned());
        }
        rest = network;
    }
    keys
}

/// `user+foo@domain`, `user@domain`, the domain and those above it, `user+foo@`, `user@`.
/// `user` as of [`lookup::user`].
pub fn mail_keys(address: &Address, user: Option<&str>) -> Vec<String> {
    let mut keys = Vec::with_capacity(8);
    keys.push(address.to_string());
    keys.extend(user.map(|user| format!("{user}@{}", address.domain)));
    add_name(&mut keys, &address.domain);
    keys.push(format!("{}@", address.local));
    keys.extend(user.map(|user| format!("{user}@")));
    keys
}

/// Whom [`find_client`] asks about.
pub trait Client {
    /// Its verified name; none if it has none, or if the DNS can't say now.
    fn client_name(&self) -> Option<String>;
    /// Its IP address.
    fn client_address(&self) -> String;
}

impl Client for Session {
    fn client_name(&self) -> Option<String> {
        Session::client_name(self).unwrap_or_default()
    }

    fn client_address(&self) -> String {
        Session::client_address(self)
    }
}

/// What the tables have for a client: by its verified name and the domains above that, then by its
/// address and networks. With no tables nobody is asked, the DNS neither.
///
/// # Errors
/// As [`find_in`].
pub fn find_client(tables: &[String], client: &impl Client) -> Result<Option<Found>, Error> {
    if tables.is_empty() {
        return Ok(None);
    }
    // Two questions: a table of patterns is asked the first key only, and it may hold names or
    // addresses.
    let name = client.client_name();
    match find_in(tables, &name_keys(name.as_deref().unwrap_or(NO_NAME)))? {
        Some(found) => Ok(Some(found)),
        None => find_in(tables, &address_keys(&client.client_address())),
    }
}

/// What the tables have for an address; none is the null sender.
///
/// # Errors
/// As [`find_in`].
pub fn find_mail(tables: &[String], address: Option<&Address>) -> Result<Option<Found>, Error> {
    match address {
        _ if tables.is_empty() => Ok(None),
        Some(address) => {
            let user = lookup::user(&address.local);
            find_in(tables, &mail_keys(address, user.as_deref()))
        }
        None => find_in(tables, &[NULL_SENDER.to_owned()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::KEYS_LIMIT;
    use crate::testing::Host;

    /// Name and address.
    struct Known(Option<&'static str>, &'static str);

    impl Client for Known {
        fn client_name(&self) -> Option<String> {
            self.0.map(str::to_owned)
        }

        fn client_address(&self) -> String {
            self.1.to_owned()
        }
    }

    #[test]
    fn a_client_is_asked_about_by_name_then_by_address() {
        let host = Host::new()
            .table("t", &[("unknown", "nameless"), (".example", "name"), ("192.0.2", "network")]);
        let find = |client: Known| {
            let found = host.run(|| find_client(&["t".to_owned()], &client)).unwrap();
            found.map(|found| found.value)
        };
        assert_eq!(find(Known(Some("mx.example"), "192.0.2.1")).as_deref(), Some("name"));
        assert_eq!(find(Known(Some("mx.test"), "192.0.2.1")).as_deref(), Some("network"));
        assert_eq!(find(Known(None, "192.0.2.1")).as_deref(), Some("nameless"));
        assert_eq!(find(Known(Some("mx.test"), "198.51.100.1")), None);
        // Without tables there is no host to be asked.
        assert_eq!(find_client(&[], &Known(None, "192.0.2.1")), Ok(None));
    }

    #[test]
    fn keys_are_in_postfix_order() {
        assert_eq!(name_keys("a.b.org"), ["a.b.org", ".b.org", "b.org", ".org", "org"]);
        assert_eq!(name_keys("192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(name_keys("unknown"), ["unknown"]);
        assert_eq!(address_keys("192.0.2.1"), ["192.0.2.1", "192.0.2", "192.0", "192"]);
        assert_eq!(address_keys("2001:db8::1"), ["2001:db8::1", "2001:db8:", "2001:db8", "2001"]);
        assert_eq!(address_keys("::1"), ["::1", ":"]);
        let address = Address::new("user+foo", "b.org");
        assert_eq!(
            mail_keys(&address, Some("user")),
            ["user+foo@b.org", "user@b.org", "b.org", ".org", "org", "user+foo@", "user@"]
        );
        assert_eq!(
            mail_keys(&address, None),
            ["user+foo@b.org", "b.org", ".org", "org", "user+foo@"]
        );
        assert_eq!(
            mail_keys(&Address::new("u", "[192.0.2.1]"), None),
            ["u@[192.0.2.1]", "[192.0.2.1]", "u@"]
        );
    }

    #[test]
    fn no_name_makes_too_many_keys() {
        let deep = Address::new("user+foo", format!("{}evil.example", "a.".repeat(100)));
        let keys = mail_keys(&deep, Some("user"));
        assert!(keys.len() <= KEYS_LIMIT);
        assert!(keys.iter().any(|key| key == "evil.example"));
    }
}
