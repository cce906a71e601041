//! A next hop as transport(5) and `relayhost` write it: `[host]:port`, `[host]`, `domain:service`,
//! `domain`; or several, parted by commas or blanks.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// A domain, a host, or an address literal in brackets.
    pub host: String,
    /// None: the transport's own.
    pub port: Option<u16>,
    /// It was written in brackets: a host, whose MX records are not looked up.
    pub no_mx: bool,
}

impl NextHop {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, naming it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |why: &str| format!("\"{text}\" is not a next hop: {why}");
        let (host, service, no_mx) = if let Some(inner) = text.strip_prefix('[') {
            let (host, rest) =
                inner.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
            let service = match rest.strip_prefix(':') {
                Some(service) => Some(service),
                None if rest.is_empty() => None,
                None => return Err(wrong("expected a colon after the bracket")),
            };
            (literal(host).unwrap_or_else(|| host.to_ascii_lowercase()), service, true)
        } else {
            match text.split_once(':') {
                Some((host, service)) => (host.to_ascii_lowercase(), Some(service), false),
                None => (text.to_ascii_lowercase(), None, false),
            }
        };
        if host.is_empty() {
            return Err(wrong("there is no host"));
        }
        let port = service.map(|service| {
            port(service).ok_or_else(|| wrong("its port is neither a number nor a known service"))
        });
        Ok(Self { host, port: port.transpose()?, no_mx })
    }
}

/// Next hops, in the order in which they are tried; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHops(Vec<NextHop>);

impl NextHops {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with the first that is wrong, naming it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split([',', ' ', '\t']).filter(|part| !part.is_empty());
        let hops: Vec<NextHop> = parts.map(NextHop::parse).collect::<Result<_, _>>()?;
        if hops.is_empty() {
            return Err(format!("\"{text}\" is not a next hop: there is no host"));
        }
        Ok(Self(hops))
    }

    /// Host, port and whether its MX records are left out, as a route has them.
    pub fn into_route(mut self) -> (Option<String>, Option<u16>, bool) {
        if self.0.len() > 1 {
            let hops: Vec<String> = self.0.iter().map(ToString::to_string).collect();
            return (Some(hops.join(", ")), None, false);
        }
        let only = self.0.pop();
        only.map_or((None, None, false), |hop| (Some(hop.host), hop.port, hop.no_mx))
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.no_mx && !self.host.starts_with('[') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// An IP address as an address literal (RFC 5321 section 4.1.3).
fn literal(host: &str) -> Option<String> {
    if host.parse::<Ipv4Addr>().is_ok() {
        return Some(format!("[{host}]"));
    }
    let bare = match host.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => &host[5..],
        _ => host,
    };
    bare.parse::<Ipv6Addr>().ok().map(|address| format!("[IPv6:{address}]"))
}

/// The services of /etc/services that take mail: a guest can't read that file.
fn port(service: &str) -> Option<u16> {
    Some(match service {
        "smtp" => 25,
        "submission" => 587,
        "smtps" | "ssmtp" | "submissions" => 465,
        number => number.parse().ok().filter(|port| *port != 0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(host: &str, port: Option<u16>, no_mx: bool) -> NextHop {
        NextHop { host: host.into(), port, no_mx }
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(NextHop::parse("[zen.via.ecp.fr]").unwrap(), hop("zen.via.ecp.fr", None, true));
        assert_eq!(
            NextHop::parse("[mail.Lepi.org]:2525").unwrap(),
            hop("mail.lepi.org", Some(2525), true)
        );
        assert_eq!(
            NextHop::parse("student-mx.ecp.fr:25").unwrap(),
            hop("student-mx.ecp.fr", Some(25), false)
        );
        assert_eq!(
            NextHop::parse("example.org:submission").unwrap(),
            hop("example.org", Some(587), false)
        );
        assert_eq!(NextHop::parse("example.org").unwrap(), hop("example.org", None, false));
        assert_eq!(NextHop::parse("[192.0.2.1]:26").unwrap(), hop("[192.0.2.1]", Some(26), true));
        assert_eq!(NextHop::parse("[::1]").unwrap(), hop("[IPv6:::1]", None, true));
        assert_eq!(NextHop::parse("[IPv6:::1]:25").unwrap(), hop("[IPv6:::1]", Some(25), true));
    }

    #[test]
    fn several_are_one_route() {
        let route = |text: &str| NextHops::parse(text).map(NextHops::into_route);
        assert_eq!(route("[a.org]:26"), Ok((Some("a.org".into()), Some(26), true)));
        let several = "[a.org]:26, b.org:25, [192.0.2.1], c.org".to_owned();
        assert_eq!(
            route("[a.org]:26, b.org:smtp [192.0.2.1],c.org"),
            Ok((Some(several), None, false))
        );
        assert!(route(" , ").is_err() && route("a.org, [b").is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["", "[]", "[host", "[host]25", "host:", "host:telnetx", "host:0", "host:70000"]
        {
            let told = NextHop::parse(text).unwrap_err();
            assert!(told.contains(&format!("\"{text}\"")), "{told}");
        }
    }
}
