//! What lists are asked about: under which name, and in which words it is told.

use std::net::IpAddr;

use facteur_plugin::MailAddress;

/// The subject of a question.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The client's IP address.
    Client(String),
    /// The client's verified name.
    ClientName(String),
    /// What HELO said.
    Helo(String),
    /// The envelope sender.
    Sender(MailAddress),
}

impl Subject {
    /// What is put before the zone of a list; none: a list can't know it.
    pub fn question(&self) -> Option<String> {
        match self {
            Self::Client(address) => Some(reversed(address.parse().ok()?)),
            Self::ClientName(name) | Self::Helo(name) => domain(name),
            Self::Sender(address) => domain(&address.domain),
        }
    }

    /// As Postfix words it: `Client host [192.0.2.1]`.
    pub fn words(&self) -> String {
        match self {
            Self::Client(address) => format!("Client host [{address}]"),
            Self::ClientName(name) => format!("Client host [{name}]"),
            Self::Helo(name) => format!("Helo command [{name}]"),
            Self::Sender(address) => format!("Sender address [{address}]"),
        }
    }
}

/// An address from its end: octets, or the nibbles of IPv6 (RFC 5782 section 2).
fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(address) => {
            let mut nibbles: Vec<u8> = format!("{:032x}", address.to_bits()).into_bytes();
            nibbles.reverse();
            nibbles
                .iter()
                .map(|nibble| char::from(*nibble).to_string())
                .collect::<Vec<_>>()
                .join(".")
        }
    }
}

/// A name with a dot in it, which is no address.
fn domain(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_lowercase();
    let is_name = name.contains('.') && !name.starts_with('[') && name.parse::<IpAddr>().is_err();
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(address: &str) -> Option<String> {
        Subject::Client(address.to_owned()).question()
    }

    #[test]
    fn an_address_is_asked_from_its_end() {
        assert_eq!(question("192.0.2.1").as_deref(), Some("1.2.0.192"));
        assert_eq!(
            question("2001:db8::1").as_deref(),
            Some("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2")
        );
        assert_eq!(question("here"), None);
    }

    #[test]
    fn only_a_name_is_asked_as_a_domain() {
        for (name, expected) in [
            ("Mail.Example.org.", Some("mail.example.org")),
            ("localhost", None),
            ("[192.0.2.1]", None),
            ("192.0.2.1", None),
            ("", None),
        ] {
            assert_eq!(Subject::Helo(name.to_owned()).question().as_deref(), expected, "{name}");
        }
        assert_eq!(Subject::Sender(MailAddress::new("a", "[192.0.2.1]")).question(), None);
    }
}
