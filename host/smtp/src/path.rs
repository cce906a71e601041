//! A path (RFC 5321 4.1.2): what stands between `<` and `>` in MAIL and RCPT.
//!
//! Keeps the source route, which Appendix F.2 says to ignore for delivery, since whether one is
//! there decides about relaying. Does not parse the null path `<>`: no path at all says that.

use std::fmt;
use std::str::FromStr;

use crate::address::{Address, AddressError};

/// A source route, nearly always empty, and an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The hosts of the source route, in order, without their `@`, lower-case, as they came
    /// otherwise.
    pub route: Vec<String>,
    /// The mailbox.
    pub address: Address,
}

impl FromStr for Path {
    type Err = AddressError;

    /// Parses the text between the brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (route, mailbox) = match text.split_once(':') {
            Some((route, mailbox)) if route.starts_with('@') => (route, mailbox),
            _ => return Ok(text.parse::<Address>()?.into()),
        };
        if let Some(bad) =
            route.chars().find(|character| character.is_control() || "<>\" ".contains(*character))
        {
            return Err(AddressError::LocalPart(bad));
        }
        let route =
            route.split(',').map(|host| host.trim_start_matches('@').to_lowercase()).collect();
        Ok(Self { route, address: mailbox.parse()? })
    }
}

impl From<Address> for Path {
    fn from(address: Address) -> Self {
        Self { route: Vec::new(), address }
    }
}

impl fmt::Display for Path {
    /// Without the brackets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, host) in self.route.iter().enumerate() {
            write!(formatter, "{}@{host}", if number == 0 { "" } else { "," })?;
        }
        write!(formatter, "{}{}", if self.route.is_empty() { "" } else { ":" }, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn a_source_route_is_kept() {
        let path: Path = "@Via.ecp.fr,@b.org:x@elsewhere.org".parse().unwrap();
        assert_eq!(path.route, ["via.ecp.fr", "b.org"]);
        assert_eq!(path.address.to_string(), "x@elsewhere.org");
        assert_eq!(path.to_string(), "@via.ecp.fr,@b.org:x@elsewhere.org");
    }

    #[test]
    fn without_a_route() {
        let path: Path = "x@[IPv6:::1]".parse().unwrap();
        assert!(path.route.is_empty());
        assert_eq!(path.to_string(), "x@[IPv6:::1]");
        assert!("@a:".parse::<Path>().is_err());
        assert!("@a".parse::<Path>().is_err());
    }
}
