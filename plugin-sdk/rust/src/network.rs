//! A client's network: what one sender of mail moves about in, and so what greylists and rate
//! limits count by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a provider gives to one customer's servers, as Postgrey takes it.
const V4_PREFIX: u32 = 24;
/// What one customer has at least (RFC 6177): its hosts choose the rest themselves.
const V6_PREFIX: u32 = 64;

/// The network of an IP address: `192.0.2.77` is in `192.0.2.0/24`, `2001:db8::1:2` in
/// `2001:db8::/64`. What isn't an address stays as it is.
pub fn of(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V4(address)) => {
            format!(
                "{}/{V4_PREFIX}",
                Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - V4_PREFIX)))
            )
        }
        Ok(IpAddr::V6(address)) => {
            format!(
                "{}/{V6_PREFIX}",
                Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - V6_PREFIX)))
            )
        }
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn neighbours_are_in_one_network() {
        assert_eq!(of("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:0:1:a:b:c:d"), "2001:db8:0:1::/64");
        assert_eq!(of("::1"), "::/64");
        assert_eq!(of("nonsense"), "nonsense");
    }
}
