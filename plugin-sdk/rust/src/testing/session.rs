//! The client: who it is, and what it said.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Host, ask, did};
use crate::Error;

/// What is known of the client.
#[derive(Clone)]
pub(super) struct Client {
    address: String,
    name: Name,
    reverse_name: Name,
    trusted: bool,
    pub(super) helo: Option<String>,
    login: Option<String>,
    facts: HashMap<String, String>,
    tags: HashMap<String, String>,
}

/// What the DNS says of its name.
type Name = Result<Option<String>, Error>;

impl Default for Client {
    fn default() -> Self {
        Self {
            address: "192.0.2.1".to_owned(),
            name: Ok(None),
            reverse_name: Ok(None),
            trusted: false,
            helo: Some("client.example.com".to_owned()),
            login: None,
            facts: HashMap::new(),
            tags: HashMap::new(),
        }
    }
}

impl Host {
    /// The client's address.
    #[must_use]
    pub fn client(self, address: &str) -> Self {
        self.with(|state| address.clone_into(&mut state.client.address))
    }

    /// The client's verified name.
    #[must_use]
    pub fn client_name(self, name: &str) -> Self {
        self.with(|state| state.client.name = Ok(Some(name.to_owned()))).reverse_name(name)
    }

    /// The client's name, which isn't verified unless [`client_name`](Host::client_name) says so.
    #[must_use]
    pub fn reverse_name(self, name: &str) -> Self {
        self.with(|state| state.client.reverse_name = Ok(Some(name.to_owned())))
    }

    /// The DNS can't say now what the client's name is.
    #[must_use]
    pub fn client_name_unavailable(self) -> Self {
        let unavailable = || Err(Error::Unavailable("the DNS can't say".to_owned()));
        self.with(|state| {
            state.client.name = unavailable();
            state.client.reverse_name = unavailable();
        })
    }

    /// The client is in a trusted network.
    #[must_use]
    pub fn trusted(self) -> Self {
        self.with(|state| state.client.trusted = true)
    }

    /// What the client says at EHLO.
    #[must_use]
    pub fn helo(self, name: &str) -> Self {
        self.with(|state| state.client.helo = Some(name.to_owned()))
    }

    /// The client has not yet said EHLO.
    #[must_use]
    pub fn without_helo(self) -> Self {
        self.with(|state| state.client.helo = None)
    }

    /// Who the client proved to be.
    #[must_use]
    pub fn login(self, name: &str) -> Self {
        self.with(|state| state.client.login = Some(name.to_owned()))
    }

    /// What [`session::fact`](crate::session::fact) says of this name.
    #[must_use]
    pub fn fact(self, name: &str, value: &str) -> Self {
        self.with(|state| _ = state.client.facts.insert(name.to_owned(), value.to_owned()))
    }
}

fn client<T>(question: impl FnOnce(&Client) -> T) -> T {
    ask(|state| question(&state.client))
}

pub fn id() -> String {
    "a-session".to_owned()
}

pub fn listener() -> String {
    "0.0.0.0:25".to_owned()
}

pub fn client_address() -> String {
    client(|client| client.address.clone())
}

pub fn client_port() -> u16 {
    49_152
}

pub fn client_name() -> Result<Option<String>, Error> {
    client(|client| client.name.clone())
}

pub fn reverse_name() -> Result<Option<String>, Error> {
    client(|client| client.reverse_name.clone())
}

pub fn client_in(networks: &str) -> Result<bool, Error> {
    let address: IpAddr = client_address()
        .parse()
        .map_err(|_| Error::Invalid("the test's client has no address".to_owned()))?;
    let mut networks = networks.split([',', ' ']).filter(|network| !network.is_empty());
    networks.try_fold(false, |found, network| Ok(found || contains(network, address)?))
}

fn contains(network: &str, address: IpAddr) -> Result<bool, Error> {
    let wrong = || Error::Invalid(format!("\"{network}\" is no network"));
    let (base, length) = network.split_once('/').unwrap_or((network, ""));
    let base: IpAddr = base.parse().map_err(|_| wrong())?;
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((base_bits, all), (bits, _)) = (bits(base), bits(address));
    let length = if length.is_empty() { all } else { length.parse().map_err(|_| wrong())? };
    if length > all {
        return Err(wrong());
    }
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Ok(base.is_ipv4() == address.is_ipv4() && base_bits & mask == bits & mask)
}

pub fn trusted() -> bool {
    client(|client| client.trusted)
}

pub fn helo() -> Option<String> {
    client(|client| client.helo.clone())
}

pub fn esmtp() -> bool {
    client(|client| client.helo.is_some())
}

pub fn login() -> Option<String> {
    client(|client| client.login.clone())
}

pub fn fact(name: &str) -> Option<String> {
    client(|client| client.facts.get(name).cloned())
}

pub fn tag(key: &str) -> Option<String> {
    client(|client| client.tags.get(key).cloned())
}

#[expect(clippy::unnecessary_wraps, reason = "the contract's function may fail")]
pub fn set_tag(key: &str, value: &str) -> Result<(), Error> {
    did(format!("session-tag {key}={value}"));
    ask(|state| _ = state.client.tags.insert(key.to_owned(), value.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::session;
    use crate::testing::Host;

    #[test]
    fn a_client_is_in_its_networks() {
        let of = |address: &str, networks: &str| {
            Host::new().client(address).run(|| session::client_in(networks))
        };
        assert_eq!(of("192.0.2.77", "198.51.100.1, 192.0.2.0/24"), Ok(true));
        assert_eq!(of("192.0.3.1", "192.0.2.0/24 192.0.3.2"), Ok(false));
        assert_eq!(of("192.0.3.1", "0.0.0.0/0"), Ok(true));
        assert_eq!(of("2001:db8::1", "2001:db8::/32"), Ok(true));
        assert_eq!(of("2001:db8::1", "0.0.0.0/0"), Ok(false));
        assert!(of("192.0.2.1", "192.0.2.0/33").is_err() && of("192.0.2.1", "here").is_err());
    }

    #[test]
    fn a_tag_is_found_again() {
        let host = Host::new();
        host.run(|| {
            assert_eq!(session::tag("seen"), None);
            session::set_tag("seen", "yes").unwrap();
            assert_eq!(session::tag("seen").as_deref(), Some("yes"));
        });
        assert_eq!(host.did(), ["session-tag seen=yes"]);
    }
}
