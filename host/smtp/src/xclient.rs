//! XCLIENT and XFORWARD: what a proxy says of the client that it speaks for, and a content filter
//! of the client that a message came from. Both are Postfix's (XCLIENT_README, XFORWARD_README).
//!
//! All of a command is taken, or nothing of it: a wrong part is answered in Postfix's words. Who
//! may say such things is the listener's to know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain;
use crate::neuter::neuter;
use crate::reply::Reply;
use crate::status;
use crate::xtext;

/// Octets of a value, as it is written.
const MAX_VALUE: usize = 255;
/// Octets of a protocol's name.
const MAX_PROTOCOL: usize = 64;
/// It isn't known, and won't be.
const UNAVAILABLE: &str = "[UNAVAILABLE]";
/// It can't be told now.
const TEMPORARY: &str = "[TEMPUNAVAIL]";
/// How the value of an IPv6 address begins.
const IPV6: &str = "IPV6:";

/// A name of a client, as its proxy knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownName {
    /// This one.
    Is(String),
    /// There is none.
    Unavailable,
    /// It can't be told now.
    Later,
}

/// What XCLIENT says of a client; what it doesn't say is None.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XClient {
    /// `NAME`: the verified reverse name.
    pub name: Option<KnownName>,
    /// `REVERSE_NAME`: the reverse name, verified or not.
    pub reverse_name: Option<KnownName>,
    /// `ADDR`. Unspecified (0.0.0.0) where the proxy doesn't know it.
    pub address: Option<IpAddr>,
    /// `PORT`; 0 where the proxy doesn't know it.
    pub port: Option<u16>,
    /// `HELO`: what the client called itself, fit for a header.
    pub helo: Option<String>,
    /// `PROTO` is ESMTP.
    pub esmtp: bool,
    /// `LOGIN`: who it proved to be.
    pub login: Option<String>,
    /// `DESTADDR`: where it connected to.
    pub server_address: Option<IpAddr>,
    /// `DESTPORT`.
    pub server_port: Option<u16>,
}

/// What XFORWARD says of the client that a message came from: names of facts, such as `address`,
/// and their values, fit for a header; None where one isn't known.
pub type XForward = Vec<(&'static str, Option<String>)>;

impl XClient {
    /// Parses the arguments; the error is the reply.
    pub(crate) fn parse(arguments: &str) -> Result<Self, Reply> {
        let mut said = Self::default();
        for attribute in attributes(arguments, "XCLIENT")? {
            let Attribute { name, value } = attribute?;
            let known = value != UNAVAILABLE;
            match name.to_ascii_uppercase().as_str() {
                "NAME" => said.name = Some(host_name("NAME", &value)?),
                "REVERSE_NAME" => said.reverse_name = Some(host_name("REVERSE_NAME", &value)?),
                "ADDR" => said.address = Some(address("ADDR", &value)?),
                "PORT" => said.port = Some(port("PORT", &value)?),
                "HELO" => said.helo = known.then(|| neuter(&value)),
                "PROTO" if value.eq_ignore_ascii_case("SMTP") => said.esmtp = false,
                "PROTO" if value.eq_ignore_ascii_case("ESMTP") => said.esmtp = true,
                "PROTO" => return Err(bad("PROTO", &value)),
                "LOGIN" => said.login = known.then_some(value),
                "DESTADDR" => said.server_address = Some(address("DESTADDR", &value)?),
                "DESTPORT" => said.server_port = Some(port("DESTPORT", &value)?),
                _ => return Err(unknown("XCLIENT", name)),
            }
        }
        Ok(said)
    }
}

/// Parses the arguments of XFORWARD; the error is the reply.
pub(crate) fn forwarded(arguments: &str) -> Result<XForward, Reply> {
    let mut said = XForward::new();
    for attribute in attributes(arguments, "XFORWARD")? {
        let Attribute { name, value } = attribute?;
        let known = value != UNAVAILABLE;
        let (fact, value) = match name.to_ascii_uppercase().as_str() {
            "NAME" if known && !is_host_name(&neuter(&value)) => {
                return Err(bad("NAME", &neuter(&value)));
            }
            "NAME" => ("name", value),
            "ADDR" => ("address", address("ADDR", &value)?.to_string()),
            "PORT" => ("port", port("PORT", &value)?.to_string()),
            "HELO" => ("helo", neuter(&value)),
            "PROTO" if value.len() > MAX_PROTOCOL => return Err(bad("PROTO", &value)),
            "PROTO" => ("protocol", neuter(&value)),
            "IDENT" => ("ident", neuter(&value)),
            "SOURCE" => ("source", source(&value)?.to_owned()),
            _ => return Err(unknown("XFORWARD", name)),
        };
        said.push((fact, known.then_some(value)));
    }
    Ok(said)
}

/// `NAME=value`, the value decoded and without control characters.
struct Attribute<'a> {
    name: &'a str,
    value: String,
}

fn attributes<'a>(
    arguments: &'a str,
    command: &str,
) -> Result<impl Iterator<Item = Result<Attribute<'a>, Reply>>, Reply> {
    if arguments.is_empty() {
        return Err(wrong(format!("Syntax: {command} attribute=value...")));
    }
    Ok(arguments.split_ascii_whitespace().map(|word| {
        let (name, raw) = word
            .split_once('=')
            .filter(|(_, value)| !value.is_empty())
            .ok_or_else(|| wrong("Error: attribute=value expected"))?;
        if raw.len() > MAX_VALUE {
            return Err(wrong("Error: attribute value too long"));
        }
        // What isn't encoded is taken as it is, since old ones don't encode.
        let value = match xtext::octets(raw) {
            Some(octets) => String::from_utf8_lossy(&octets).into_owned(),
            None => raw.to_owned(),
        };
        let printable = |c: char| if c.is_control() || c == '\u{fffd}' { '?' } else { c };
        let value: String = value.chars().map(printable).collect();
        let word =
            [UNAVAILABLE, TEMPORARY].into_iter().find(|word| value.eq_ignore_ascii_case(word));
        Ok(Attribute { name, value: word.map_or(value, str::to_owned) })
    }))
}

fn host_name(attribute: &str, value: &str) -> Result<KnownName, Reply> {
    match value {
        UNAVAILABLE => Ok(KnownName::Unavailable),
        TEMPORARY => Ok(KnownName::Later),
        name if is_host_name(name) => Ok(KnownName::Is(name.to_ascii_lowercase())),
        name => Err(bad(attribute, name)),
    }
}

/// A name of the DNS in ASCII.
fn is_host_name(name: &str) -> bool {
    let literal = name.starts_with('[');
    name.is_ascii() && !literal && !name.ends_with('.') && domain::normal(name).is_some()
}

/// Where a message came from: this machine, or elsewhere.
fn source(value: &str) -> Result<&'static str, Reply> {
    let is = |word: &str| value.eq_ignore_ascii_case(word);
    match value {
        _ if is("LOCAL") || is(UNAVAILABLE) => Ok("local"),
        _ if is("REMOTE") => Ok("remote"),
        _ => Err(bad("SOURCE", value)),
    }
}

/// IPv4, or IPv6 behind its prefix; IPv4 that is written as IPv6 is IPv4.
fn address(attribute: &str, value: &str) -> Result<IpAddr, Reply> {
    if value == UNAVAILABLE {
        return Ok(Ipv4Addr::UNSPECIFIED.into());
    }
    let address = match value.split_at_checked(IPV6.len()) {
        Some((prefix, address)) if prefix.eq_ignore_ascii_case(IPV6) => {
            address.parse::<Ipv6Addr>().map(|address| IpAddr::V6(address).to_canonical())
        }
        _ => value.parse::<Ipv4Addr>().map(IpAddr::V4),
    };
    address.map_err(|_| bad(attribute, &neuter(value)))
}

fn port(attribute: &str, value: &str) -> Result<u16, Reply> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value {
        UNAVAILABLE => Ok(0),
        _ => value.parse().ok().filter(|_| digits).ok_or_else(|| bad(attribute, value)),
    }
}

fn bad(attribute: &str, value: &str) -> Reply {
    wrong(format!("Bad {attribute} syntax: {value}"))
}

fn unknown(command: &str, attribute: &str) -> Reply {
    wrong(format!("Bad {command} attribute name: {attribute}"))
}

fn wrong(text: impl Into<String>) -> Reply {
    Reply::new(501, status::INVALID_ARGUMENTS, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<T: std::fmt::Debug>(result: Result<T, Reply>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_client_is_described() {
        let text = "name=Client.Example.NET ADDR=IPv6:2001:db8::7 PORT=4711 PROTO=esmtp \
                    HELO=a+20b+3Cc LOGIN=louen+40example.org DESTADDR=192.0.2.1 DESTPORT=25";
        let said = XClient::parse(text).unwrap();
        let expected = XClient {
            name: Some(KnownName::Is("client.example.net".to_owned())),
            reverse_name: None,
            address: Some("2001:db8::7".parse().unwrap()),
            port: Some(4711),
            helo: Some("a?b?c".to_owned()),
            esmtp: true,
            login: Some("louen@example.org".to_owned()),
            server_address: Some("192.0.2.1".parse().unwrap()),
            server_port: Some(25),
        };
        assert_eq!(said, expected);
        let unknown = "NAME=[unavailable] REVERSE_NAME=[TEMPUNAVAIL] ADDR=[UNAVAILABLE] \
                       PORT=[UNAVAILABLE] HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]";
        let expected = XClient {
            name: Some(KnownName::Unavailable),
            reverse_name: Some(KnownName::Later),
            address: Some("0.0.0.0".parse().unwrap()),
            port: Some(0),
            ..XClient::default()
        };
        assert_eq!(XClient::parse(unknown).unwrap(), expected);
        let mapped = XClient::parse("ADDR=IPV6:::ffff:192.0.2.9").unwrap();
        assert_eq!(mapped.address, Some("192.0.2.9".parse().unwrap()));
    }

    #[test]
    fn nothing_that_is_decoded_ends_a_line_or_a_comment() {
        let said = XClient::parse("HELO=a+0D+0AQUIT LOGIN=x+0D+0Ay+00").unwrap();
        assert_eq!(said.helo.as_deref(), Some("a??QUIT"));
        assert_eq!(said.login.as_deref(), Some("x??y?"));
        let said = forwarded("IDENT=x+0A+22)+C3+A9+FF HELO=+").unwrap();
        let expected = [("ident", Some("x?????".to_owned())), ("helo", Some("+".to_owned()))];
        assert_eq!(said, expected);
        for (wrong, told) in [
            ("NAME=a+0D+0A.test", "501 5.5.4 Bad NAME syntax: a??.test"),
            ("ADDR=1.2.3.4+0D+0A", "501 5.5.4 Bad ADDR syntax: 1.2.3.4??"),
        ] {
            assert_eq!(error(XClient::parse(wrong)), told);
        }
    }

    #[test]
    fn a_wrong_part_is_answered_as_postfix_does() {
        let long = format!("HELO={}", "x".repeat(256));
        for (wrong, told) in [
            ("", "Syntax: XCLIENT attribute=value..."),
            ("ADDR", "Error: attribute=value expected"),
            ("ADDR=", "Error: attribute=value expected"),
            (&long, "Error: attribute value too long"),
            ("addr=2001:db8::1", "Bad ADDR syntax: 2001:db8::1"),
            ("ADDR=1.2.3", "Bad ADDR syntax: 1.2.3"),
            ("ADDR=[TEMPUNAVAIL]", "Bad ADDR syntax: [TEMPUNAVAIL]"),
            ("NAME=1.2.3.4", "Bad NAME syntax: 1.2.3.4"),
            ("NAME=[1.2.3.4]", "Bad NAME syntax: [1.2.3.4]"),
            ("NAME=a..b", "Bad NAME syntax: a..b"),
            // A proxy that forgot the space.
            ("ADDR=192.0.2.9PORT=4711", "Bad ADDR syntax: 192.0.2.9PORT=4711"),
            ("SESSION=x", "Bad XCLIENT attribute name: SESSION"),
            ("PORT=-1", "Bad PORT syntax: -1"),
            ("PORT=65536", "Bad PORT syntax: 65536"),
            ("PROTO=LMTP", "Bad PROTO syntax: LMTP"),
            ("ADDR=192.0.2.1 Foo=x", "Bad XCLIENT attribute name: Foo"),
        ] {
            assert_eq!(error(XClient::parse(wrong)), format!("501 5.5.4 {told}"), "{wrong}");
        }
        let long = format!("PROTO={}", "x".repeat(65));
        for (wrong, told) in [
            ("", "Syntax: XFORWARD attribute=value..."),
            ("SOURCE=elsewhere", "Bad SOURCE syntax: elsewhere"),
            ("NAME=a<b", "Bad NAME syntax: a?b"),
            ("LOGIN=x", "Bad XFORWARD attribute name: LOGIN"),
            (&long, long.replace("PROTO=", "Bad PROTO syntax: ").as_str()),
        ] {
            assert_eq!(error(forwarded(wrong)), format!("501 5.5.4 {told}"), "{wrong}");
        }
    }
}
