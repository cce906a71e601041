//! `[networks]` and `[dns]`: whom to trust, and whom to ask for names.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::reader::{Section, Value};

/// The port of the DNS (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// One client has an IPv6 network of this size (RFC 6177).
const IPV6_CLIENT: u8 = 64;

/// The address by which a client is counted: whoever has an IPv6 address has a network of them. An
/// IPv4 address written as IPv6 is IPv4.
pub fn one_client(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    match IpNet::new(address, IPV6_CLIENT) {
        Ok(network) if address.is_ipv6() => network.trunc().addr(),
        _ => address,
    }
}

/// `[networks]`.
#[derive(Debug, Clone)]
pub struct Networks {
    /// Whose clients are trusted. Default: this host alone, 127.0.0.0/8 and `::1`.
    pub trusted: Vec<IpNet>,
}

impl Networks {
    /// Whether a client with this address is trusted. An IPv4 address written as IPv6 is judged as
    /// IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        contains(&self.trusted, address)
    }
}

/// Whether an address is in any of these networks. An IPv4 address written as IPv6 is judged as
/// IPv4.
pub fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// `[dns]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// The servers to ask, in order. Empty (the default): the system's.
    pub servers: Vec<SocketAddr>,
    /// How long a server may take to answer. Default 5 s, the resolver's of the system.
    pub timeout: Duration,
}

/// Reads `[networks]`.
pub(super) fn read_networks(section: &mut Section<'_>) -> Networks {
    let own = [IpAddr::from([127, 0, 0, 0]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    let own = || {
        own.iter()
            .zip([8, 128])
            .filter_map(|(address, length)| IpNet::new(*address, length).ok())
            .collect()
    };
    let trusted = section.get("trusted", |value| value.list(|value| value.parse(network)));
    Networks { trusted: trusted.unwrap_or_else(own) }
}

/// Reads `[dns]`.
pub(super) fn read_dns(section: &mut Section<'_>) -> Dns {
    let server = |text: &str| match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(server), _) => Ok(server),
        (_, Ok(address)) => Ok(SocketAddr::new(address, DNS_PORT)),
        _ => Err("write \"192.0.2.1\", \"192.0.2.1:53\" or \"[2001:db8::1]:53\"".to_owned()),
    };
    Dns {
        servers: section
            .get("servers", |value| value.list(|value| value.parse(server)))
            .unwrap_or_default(),
        timeout: section.or("timeout", Duration::from_secs(5), Value::some_duration),
    }
}

/// An address, or an address and the length of a network's prefix. A network's own bits must be all
/// that is set, since anything else is a slip, as it is in Postfix. What it says otherwise is the
/// mend.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let Ok(network) = text.parse::<IpNet>() else {
        let plain = text.replace(['[', ']'], "");
        return Err(if plain != text && network(&plain).is_ok() {
            format!("write it without brackets: \"{plain}\"")
        } else {
            "write a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", or one address"
                .to_owned()
        });
    };
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!("did you mean \"{}\"?", network.trunc()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_in_one_way() {
        assert_eq!(network("88.191.250.2").unwrap().to_string(), "88.191.250.2/32");
        assert_eq!(network("2002:8ac3:8000::/35").unwrap().to_string(), "2002:8ac3:8000::/35");
        assert_eq!(network("192.0.2.7/24").unwrap_err(), "did you mean \"192.0.2.0/24\"?");
        assert_eq!(network("[::1]/128").unwrap_err(), "write it without brackets: \"::1/128\"");
        assert!(network("example.org").is_err());
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        let networks = Networks { trusted: vec!["192.0.2.0/24".parse().unwrap()] };
        assert!(networks.contains("::ffff:192.0.2.9".parse().unwrap()));
        assert!(!networks.contains("::ffff:198.51.100.9".parse().unwrap()));
    }
}
