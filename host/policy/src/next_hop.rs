//! Where SMTP goes: a next hop, and those that are tried where it doesn't take the message.
//!
//! How they are found and tried is the delivery's.

use std::fmt;
use std::net::IpAddr;

/// SMTP's port (RFC 5321 section 4.5.4.2).
pub(crate) const SMTP_PORT: u16 = 25;

/// Next hops of one route: nobody means more.
const HOPS_AT_MOST: usize = 10;

/// How much TLS a route asks for: the levels of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteTls {
    /// None.
    None,
    /// Where the server offers it.
    May,
    /// Always, whoever the server is.
    Encrypt,
    /// With a certificate for the server.
    Verify,
}

/// The next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SmtpRoute {
    /// A domain, a host or an address literal in brackets.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// Whether the host's MX records say where; otherwise its own addresses do.
    pub mx: bool,
    /// The local address to connect from.
    pub source: Option<IpAddr>,
    /// How much TLS a plugin asks for; none: what the operator's settings have for it.
    pub tls: Option<RouteTls>,
    /// Where it goes if this one doesn't take it.
    pub otherwise: Option<Box<SmtpRoute>>,
}

impl SmtpRoute {
    /// By the MX records of this host, to SMTP's port.
    pub(crate) fn to(host: &str) -> Self {
        let host = facteur_smtp::key(host).into_owned();
        Self { host, port: SMTP_PORT, mx: true, source: None, tls: None, otherwise: None }
    }

    /// One next hop, or several parted by commas. A port that a text says comes before that of
    /// `like`, which has everything else.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(crate) fn parse(text: &str, like: &Self) -> Result<Self, String> {
        if text.split(',').count() > HOPS_AT_MOST {
            return Err(format!("more than {HOPS_AT_MOST} next hops"));
        }
        let mut route = None;
        for hop in text.rsplit(',') {
            let (host, own) = parted(hop.trim());
            let port = own.map_or(Ok(like.port), str::parse);
            let port = port.map_err(|_| "a next hop with a port that is no number".to_owned())?;
            let odd = |c: char| c.is_control() || c.is_whitespace();
            if host.is_empty() || host.len() > 255 || host.chars().any(odd) {
                return Err("a next hop that isn't a host".into());
            }
            let otherwise = route.map(Box::new);
            let host = facteur_smtp::key(host).into_owned();
            route = Some(Self { host, port, otherwise, ..like.clone() });
        }
        route.ok_or_else(|| "a next hop that isn't a host".into())
    }

    /// This next hop, and those after it.
    pub fn hops(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |hop| hop.otherwise.as_deref())
    }
}

impl fmt::Display for SmtpRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, hop) in self.hops().enumerate() {
            let before = if number == 0 { "" } else { ", else " };
            let by = if hop.mx { " by its MX" } else { "" };
            write!(f, "{before}{}:{}{by}", hop.host, hop.port)?;
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        self.tls.map_or(Ok(()), |tls| write!(f, " with TLS: {tls}"))
    }
}

impl fmt::Display for RouteTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::May => "may",
            Self::Encrypt => "encrypt",
            Self::Verify => "verify",
        })
    }
}

/// The host and the port of a next hop; an address needs no brackets.
fn parted(hop: &str) -> (&str, Option<&str>) {
    let after = hop.rfind(']').map_or(0, |end| end + 1);
    match hop[after..].split_once(':') {
        Some((host, port)) if hop.parse::<IpAddr>().is_err() => {
            (&hop[..after + host.len()], Some(port))
        }
        _ => (hop, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_are_read_in_their_order() {
        let told = |text: &str| {
            let parsed = SmtpRoute::parse(text, &SmtpRoute::to("like.example"));
            parsed.map_or_else(|why| why, |route| route.to_string())
        };
        assert_eq!(told("a.example"), "a.example:25 by its MX");
        assert_eq!(
            told("[a.example]:26, b.example ,[IPv6:::1]"),
            "[a.example]:26 by its MX, else b.example:25 by its MX, else [ipv6:::1]:25 by its MX"
        );
        assert_eq!(told("::1"), "::1:25 by its MX");
        for text in ["", "a,", "a b", "a:x", "a:70000"] {
            assert!(SmtpRoute::parse(text, &SmtpRoute::to("x")).is_err(), "{text:?}");
        }
        assert!(SmtpRoute::parse(&["a"; 11].join(","), &SmtpRoute::to("x")).is_err());
    }
}
