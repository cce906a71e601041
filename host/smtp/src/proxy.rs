//! What a proxy says before anything else of the connection that it passes on: the PROXY protocol,
//! versions 1 and 2 (HAProxy's proxy-protocol.txt).
//!
//! Knows how many octets still belong to it, so that none of what follows is read: that may be
//! TLS. Whether the peer may say such a thing is its host's to know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, with its CRLF.
const MAX_V1: usize = 107;
/// The shortest: `PROXY UNKNOWN` CRLF. One of version 2 is longer.
const SHORTEST: usize = 15;
/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2: usize = 16;
/// The most that may follow them, in octets. Addresses take 36, what TLS is told of some hundred.
const MAX_V2: usize = 4096;

/// The addresses of the connection that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// The client.
    pub client: SocketAddr,
    /// Where it connected to.
    pub local: SocketAddr,
}

/// How far a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// At least so many octets more belong to it.
    Needs(usize),
    /// It is whole. None: the proxy speaks for itself, or doesn't say for whom.
    Whole(Option<Proxied>),
}

/// No header of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It begins with something else.
    #[error("no PROXY header: the proxy must send one (`send-proxy-v2` in HAProxy)")]
    Missing,
    /// Version 1, and wrong.
    #[error("a PROXY header of version 1 that can't be read")]
    Version1,
    /// Version 2, and wrong; or another version.
    #[error("a PROXY header of version 2 that can't be read")]
    Version2,
    /// Longer than any may be.
    #[error("a PROXY header that is too long")]
    TooLong,
}

impl ProxyHeader {
    /// Reads what came so far, of which every octet must belong to the header.
    ///
    /// # Errors
    /// It is none, or a wrong one: the connection is to be ended.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProxyError> {
        if bytes.is_empty() {
            // Either may come, and the shortest of all is one of version 1.
            return Ok(Self::Needs(SHORTEST));
        }
        let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
        if begins(SIGNATURE) {
            version_2(bytes)
        } else if begins(b"PROXY ") {
            version_1(bytes)
        } else {
            Err(ProxyError::Missing)
        }
    }
}

fn version_1(bytes: &[u8]) -> Result<ProxyHeader, ProxyError> {
    if bytes.len() < SHORTEST {
        return Ok(ProxyHeader::Needs(SHORTEST - bytes.len()));
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        return match MAX_V1.saturating_sub(bytes.len()) {
            0 => Err(ProxyError::TooLong),
            _ if bytes.ends_with(b"\r") => Ok(ProxyHeader::Needs(1)),
            room => Ok(ProxyHeader::Needs(room.min(2))),
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Version1)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(ProxyHeader::Whole(None)),
        ["PROXY", family, client, local, client_port, local_port] => {
            let address = |address: &str, port: &str| {
                let address = match family {
                    "TCP4" => address.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
                    "TCP6" => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
                    _ => None,
                };
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|_| digits);
                address.zip(port).map(SocketAddr::from).ok_or(ProxyError::Version1)
            };
            let (client, local) = (address(client, client_port)?, address(local, local_port)?);
            Ok(ProxyHeader::Whole(Some(Proxied { client, local })))
        }
        _ => Err(ProxyError::Version1),
    }
}

fn version_2(bytes: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let Some((head, rest)) = bytes.split_at_checked(V2) else {
        return Ok(ProxyHeader::Needs(V2 - bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > MAX_V2 {
        return Err(ProxyError::TooLong);
    }
    if rest.len() < length {
        return Ok(ProxyHeader::Needs(length - rest.len()));
    }
    match (head[12], head[13]) {
        // LOCAL, whatever stands in the rest; a family that isn't TCP's, as a socket of a file.
        (0x20, _) | (0x21, 0x00 | 0x31) => Ok(ProxyHeader::Whole(None)),
        (0x21, 0x11) => addresses::<4>(rest),
        (0x21, 0x21) => addresses::<16>(rest),
        _ => Err(ProxyError::Version2),
    }
}

/// Two addresses of so many octets, and their ports. What follows them is extensions.
fn addresses<const OCTETS: usize>(bytes: &[u8]) -> Result<ProxyHeader, ProxyError>
where
    IpAddr: From<[u8; OCTETS]>,
{
    let address = |at: usize, port: usize| {
        let octets: [u8; OCTETS] = bytes.get(at..at + OCTETS)?.try_into().ok()?;
        let port: [u8; 2] = bytes.get(port..port + 2)?.try_into().ok()?;
        Some(SocketAddr::new(octets.into(), u16::from_be_bytes(port)))
    };
    let (client, local) = (address(0, 2 * OCTETS), address(OCTETS, 2 * OCTETS + 2));
    match client.zip(local) {
        Some((client, local)) => Ok(ProxyHeader::Whole(Some(Proxied { client, local }))),
        None => Err(ProxyError::Version2),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes of octets, of which never more are taken than belong to the header; and how many
    /// were.
    fn read(bytes: &[u8]) -> (Result<Option<Proxied>, ProxyError>, usize) {
        let mut taken = 0;
        loop {
            match ProxyHeader::parse(&bytes[..taken]) {
                Ok(ProxyHeader::Whole(proxied)) => return (Ok(proxied), taken),
                Ok(ProxyHeader::Needs(more)) => {
                    assert!(more > 0);
                    // Where the connection ends within it there is no header.
                    let Some(_) = bytes.get(..taken + more) else {
                        return (Err(ProxyError::Missing), taken);
                    };
                    taken += more;
                }
                Err(error) => return (Err(error), taken),
            }
        }
    }

    fn proxied(client: &str, local: &str) -> Proxied {
        Proxied { client: client.parse().unwrap(), local: local.parse().unwrap() }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// AUTHORITY, CRC32C, and SSL with a version in it.
    const SECURED: &[u8] = b"\x02\0\x07mx.test\x03\0\x04\xde\xad\xbe\xef\
                             \x20\0\x0f\x01\0\0\0\0\x21\0\x07TLSv1.3";

    #[test]
    fn headers_end_where_they_end() {
        let four = [192, 0, 2, 9, 198, 51, 100, 1, 0x9c, 0x40, 0, 25];
        let mut six = [0; 36];
        (six[15], six[31], six[35]) = (1, 2, 25);
        let with_extensions = [&four[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        let v4 = Some(proxied("192.0.2.9:40000", "198.51.100.1:25"));
        let v6 = Some(proxied("[::1]:0", "[::2]:25"));
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 25\r\n".to_vec(), v4),
            (b"PROXY TCP6 ::1 ::2 0 25\r\n".to_vec(), v6),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), None),
            (v2(0x21, 0x11, &four), v4),
            (v2(0x21, 0x11, &with_extensions), v4),
            (v2(0x21, 0x21, &six), v6),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &four), None),
            (v2(0x21, 0x31, &[0; 216]), None),
            // Of a proxy that doesn't say for whom, whatever else it says.
            (v2(0x21, 0x00, &[0x05, 0, 2, b'i', b'd']), None),
            // What it told TLS, a checksum, and an extension of nobody's that is cut off.
            (v2(0x21, 0x11, &[&four[..], SECURED, &[0xe0, 0xff, 0xff, 0]].concat()), v4),
        ] {
            // What follows may look like more of it.
            for more in [&b"EHLO x\r\n"[..], b"\r\n", b"\x16\x03\x01", &header] {
                let bytes = [&header[..], more].concat();
                assert_eq!(read(&bytes), (Ok(expected), header.len()), "{header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for wrong in [
            &b"EHLO client.example.net\r\n"[..],
            b"proxy TCP4 192.0.2.9 198.51.100.1 40000 25\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 40000\r\nxxxxxxx",
            b"PROXY TCP4  192.0.2.9 198.51.100.1 40000 25\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 65536\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 +25\r\n",
            b"PROXY TCP4 192.0.2.300 198.51.100.1 40000 25\r\n",
            b"PROXY TCP4 ::1 ::2 40000 25\r\n",
            b"PROXY TCP4 192.0.2.9 ::2 40000 25\r\n",
            b"PROXY UDP4 192.0.2.9 198.51.100.1 40000 25\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 25 26\r\n",
            b"PROXY TCP4 192.0.2.9\n198.51.100.1 40000 25\r\n",
            b"PROXY \xff\xff\xff\xff\xff\xff\xff\xff\xff\r\n",
            &[b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat(),
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x12, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 12]),
            &v2(0x21, 0x11, &[0; 4097]),
            &v2(0x21, 0x11, &[0; 12])[..20],
            b"\r\n\r\n\0\r\nQUIT\r\n\r\n\r\n",
            b"PROXY TCP4",
            b"",
        ] {
            assert!(read(wrong).0.is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_are_taken_beyond_the_end(
            start in prop_oneof![Just(b"PROXY ".to_vec()), Just(SIGNATURE.to_vec()), Just(vec![])],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [start, rest].concat();
            let (_, taken) = read(&bytes);
            prop_assert!(taken <= bytes.len());
        }
    }
}
