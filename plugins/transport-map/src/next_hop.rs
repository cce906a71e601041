//! A next hop as transport(5) and `relayhost` write it: `[host]:port`, `[host]`, `domain:service`,
//! `domain`.

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
        if text.contains([',', ' ', '\t']) {
            return Err(wrong("only one is supported"));
        }
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
    fn what_is_wrong_is_named() {
        for text in
            ["", "[]", "[host", "[host]25", "host:", "host:telnetx", "host:0", "host:70000", "a, b"]
        {
            let told = NextHop::parse(text).unwrap_err();
            assert!(told.contains(&format!("\"{text}\"")), "{told}");
        }
    }
}
