//! One list, as Postfix writes it in `postscreen_dnsbl_sites`: `zone`, `zone=127.0.0.[2..11]`,
//! `zone*-3`, `zone=127.0.0.[4;10..11]*2`.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// No zone with a question before it is longer than a name may be: 255 bytes, of which the nibbles
/// of an IPv6 address take 64.
const ZONE_LIMIT: usize = 190;

/// One list.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub struct List {
    /// As the operator wrote it, which is how it is kept.
    written: String,
    /// Below which names it answers.
    pub zone: String,
    /// The answers that count; none: all that mean "listed".
    replies: Option<[Octet; 4]>,
    /// What being listed counts.
    pub weight: i32,
}

/// The values that one octet may have.
type Octet = Vec<RangeInclusive<u8>>;

/// What an answer of a list means.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    Listed,
    /// Another answer of the same list, which this setting doesn't ask for.
    Other,
    /// That the list doesn't answer this server at all.
    Refused,
}

impl List {
    /// What an address means that the list answered with.
    pub fn meaning(&self, answer: Ipv4Addr) -> Meaning {
        let octets = answer.octets();
        match &self.replies {
            // Spamhaus and those who follow it say so that they won't answer: to an open resolver,
            // to one that asks too much.
            _ if octets[..3] == [127, 255, 255] => Meaning::Refused,
            // A zone that nobody cares for any more may have any address at all, for every name
            // (RFC 5782 section 2.1).
            None if octets[0] != 127 => Meaning::Other,
            None => Meaning::Listed,
            Some(replies) => {
                let fits = |(ranges, octet): (&Octet, &u8)| {
                    ranges.iter().any(|range| range.contains(octet))
                };
                if replies.iter().zip(&octets).all(fits) { Meaning::Listed } else { Meaning::Other }
            }
        }
    }
}

impl TryFrom<String> for List {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let parsed = parse(&written);
        let (zone, replies, weight) = parsed.ok_or_else(|| {
            format!("\"{written}\" is no list; write zone, or zone=127.0.0.[2..11]*WEIGHT")
        })?;
        Ok(Self { written, zone, replies, weight })
    }
}

impl From<List> for String {
    fn from(list: List) -> Self {
        list.written
    }
}

fn parse(text: &str) -> Option<(String, Option<[Octet; 4]>, i32)> {
    let (text, weight) = match text.split_once('*') {
        Some((text, weight)) => (text, weight.parse().ok().filter(|weight| *weight != 0)?),
        None => (text, 1),
    };
    let (zone, replies) = match text.split_once('=') {
        Some((zone, replies)) => (zone, Some(filter(replies)?)),
        None => (text, None),
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let is_name = zone.len() <= ZONE_LIMIT && zone.contains('.') && zone.split('.').all(label);
    is_name.then(|| (zone.to_ascii_lowercase(), replies, weight))
}

/// Four octets, each a number or `[2;4..11]`.
fn filter(text: &str) -> Option<[Octet; 4]> {
    let mut octets = Vec::new();
    let mut rest = text;
    loop {
        let octet = if let Some(inside) = rest.strip_prefix('[') {
            let (inside, after) = inside.split_once(']')?;
            rest = after;
            inside.split(';').map(range).collect::<Option<Octet>>()?
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            rest = after;
            vec![range(number).filter(|range| range.start() == range.end())?]
        };
        octets.push(octet);
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return octets.try_into().ok(),
            None => return None,
        }
    }
}

/// `2` or `2..11`.
fn range(text: &str) -> Option<RangeInclusive<u8>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> List {
        List::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn meaning(text: &str, answer: &str) -> Meaning {
        list(text).meaning(answer.parse().unwrap())
    }

    #[test]
    fn a_list_is_read_as_postfix_reads_it() {
        assert_eq!(
            (list("BL.example").zone.as_str(), list("bl.example").weight),
            ("bl.example", 1)
        );
        assert_eq!(list("bl.example*-3").weight, -3);
        assert_eq!(list("bl.example=127.0.0.[2..11]*2").weight, 2);
        for wrong in [
            "",
            "bl",
            "bl..example",
            "bl.example*",
            "bl.example*0",
            "bl.example*1.5",
            "bl.example=",
            "bl.example=127.0.0",
            "bl.example=127.0.0.256",
            "bl.example=127.0.0.2.3",
            "bl.example=127.0.0.[2..",
            "bl.example=127.0.0.[3..2]",
            "bl.example=127.0.0.2..3",
            "bl.example=127.0.0.[2]x",
            "bl example",
        ] {
            assert!(List::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_means_listed_counts() {
        assert_eq!(meaning("bl.example", "127.0.0.2"), Meaning::Listed);
        assert_eq!(meaning("bl.example", "192.0.2.1"), Meaning::Other);
        assert_eq!(meaning("bl.example=192.0.2.1", "192.0.2.1"), Meaning::Listed);
        assert_eq!(meaning("bl.example", "127.255.255.254"), Meaning::Refused);
        let some = "bl.example=127.0.[0;2].[2..4;10]";
        for (answer, expected) in [
            ("127.0.0.2", Meaning::Listed),
            ("127.0.2.10", Meaning::Listed),
            ("127.0.1.2", Meaning::Other),
            ("127.0.0.5", Meaning::Other),
        ] {
            assert_eq!(meaning(some, answer), expected, "{answer}");
        }
    }

    #[test]
    fn it_is_kept_as_it_was_written() {
        let text = "bl.example=127.0.0.[2..11]*2";
        assert_eq!(String::from(list(text)), text);
    }
}
