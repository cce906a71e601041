//! `cidr_table`(5): networks and addresses, and what they mean. A key that is no IP address matches
//! nothing.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::lines::Remarks;
use super::patterns::Rules;
use crate::config::network;

/// A table of networks.
#[derive(Debug)]
pub(super) struct Cidr(Rules<IpNet, Box<str>>);

impl Cidr {
    pub(super) fn parse(bytes: &[u8], remarks: &mut Remarks) -> Self {
        Self(Rules::parse(bytes, remarks, pattern, |_, _, rest| Ok(rest.into())))
    }

    pub(super) fn find(&self, key: &str) -> Option<&str> {
        let address = key.parse::<IpAddr>().ok()?.to_canonical();
        self.0.first(|network| network.contains(&address)).map(|(_, result)| &**result)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Takes a network off the front of a line; its address may stand in brackets.
fn pattern(text: &str) -> Result<(IpNet, &str), String> {
    let (written, rest) =
        text.split_at(text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len()));
    let bare = match written.strip_prefix('[').and_then(|written| written.split_once(']')) {
        Some((address, length)) => Cow::Owned(format!("{address}{length}")),
        None => Cow::Borrowed(written),
    };
    let network = network(&bare).map_err(|mend| format!("\"{written}\" is no network: {mend}"))?;
    Ok((network, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_wins() {
        let mut remarks = Remarks::default();
        let text = b"192.0.2.7  OK\n192.0.2.0/24  REJECT not from here\n[2001:db8::]/32 v6\n\
            if 198.51.100.0/24\n!198.51.100.128/25 low half\n198.51.100.200 one\nendif\n";
        let table = Cidr::parse(text, &mut remarks);
        assert!(remarks.faults.is_empty(), "{remarks:?}");
        assert_eq!(table.find("192.0.2.7"), Some("OK"));
        assert_eq!(table.find("192.0.2.8"), Some("REJECT not from here"));
        assert_eq!(table.find("::ffff:192.0.2.8"), Some("REJECT not from here"));
        assert_eq!(table.find("2001:db8::1"), Some("v6"));
        assert_eq!(table.find("198.51.100.1"), Some("low half"));
        assert_eq!(table.find("198.51.100.200"), Some("one"));
        assert_eq!(table.find("198.51.100.201"), None);
        assert_eq!(table.find("203.0.113.1"), None);
        assert_eq!(table.find("mail.example.org"), None);
    }

    #[test]
    fn a_slip_is_named() {
        let mut remarks = Remarks::default();
        Cidr::parse(b"192.0.2.7/24 x\nexample.org x\n192.0.2.0/24\n", &mut remarks);
        assert_eq!(remarks.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(remarks.faults[0].reason.ends_with("did you mean \"192.0.2.0/24\"?"));
    }
}
