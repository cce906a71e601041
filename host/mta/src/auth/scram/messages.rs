//! What clients say by SCRAM (RFC 5802 section 7), parted.
//!
//! Invariant: whatever the octets, a message is read or it is refused. It computes nothing and
//! knows no keys; the fuzzer has this file alone.

use base64ct::{Base64, Encoding as _};

/// Octets of SHA-256.
pub(crate) const DIGEST: usize = 32;
/// The longest nonce of a client: any it makes is a tenth of it.
const CLIENT_NONCE_LIMIT: usize = 512;

/// Why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("malformed message")]
    Malformed,
    #[error("channel binding was taken out on the way")]
    Downgraded,
    #[error("channel binding doesn't match")]
    Binding,
    #[error("invalid proof")]
    Proof,
}

/// The first message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct First {
    /// Whom it wants to act for; empty: itself.
    pub(crate) authorization: String,
    pub(crate) name: String,
    /// What its last message must begin with, binding included.
    pub(super) bound: Vec<u8>,
    /// All behind the header that says how it is bound.
    pub(super) bare: String,
    pub(super) nonce: String,
}

impl First {
    /// Reads it. `plus`: the mechanism is the one with channel binding; `exported`: what the
    /// connection has to bind to, as `tls-exporter`.
    pub(crate) fn parse(
        message: &[u8],
        plus: bool,
        exported: Option<&[u8]>,
    ) -> Result<Self, Refusal> {
        let message = std::str::from_utf8(message).map_err(|_| Refusal::Malformed)?;
        let (flag, rest) = message.split_once(',').ok_or(Refusal::Malformed)?;
        let (authorization, bare) = rest.split_once(',').ok_or(Refusal::Malformed)?;
        let header = &message[..message.len() - bare.len()];
        let mut bound = header.as_bytes().to_vec();
        match (flag.strip_prefix("p="), flag) {
            (Some("tls-exporter"), _) if plus => {
                bound.extend_from_slice(exported.ok_or(Refusal::Binding)?);
            }
            // It would have, had it been told that we can.
            (None, "y") if !plus && exported.is_some() => return Err(Refusal::Downgraded),
            (None, "n" | "y") if !plus => {}
            (Some(_), _) | (None, "n" | "y") => return Err(Refusal::Binding),
            _ => return Err(Refusal::Malformed),
        }
        let authorization = match authorization.strip_prefix("a=") {
            Some(name) => unescaped(name).ok_or(Refusal::Malformed)?,
            None if authorization.is_empty() => String::new(),
            None => return Err(Refusal::Malformed),
        };
        let mut attributes = bare.split(',');
        let mut attribute = |key| attributes.next().and_then(|text| text.strip_prefix(key));
        let name = attribute("n=").and_then(unescaped).ok_or(Refusal::Malformed)?;
        let nonce = attribute("r=").filter(|nonce| is_nonce(nonce)).ok_or(Refusal::Malformed)?;
        extensions(attributes)?;
        let (nonce, bare) = (nonce.to_owned(), bare.to_owned());
        Ok(Self { authorization, name, bound, bare, nonce })
    }
}

/// The last message of a client.
#[derive(Debug)]
pub(super) struct Last<'a> {
    /// What it says that it is bound to.
    pub(super) bound: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: [u8; DIGEST],
    /// What is proven, as it was sent.
    pub(super) without_proof: &'a str,
}

impl<'a> Last<'a> {
    /// Reads it.
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Refusal> {
        let message = std::str::from_utf8(message).map_err(|_| Refusal::Malformed)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Refusal::Malformed)?;
        let mut attributes = without_proof.split(',');
        let mut attribute = |key| attributes.next().and_then(|text| text.strip_prefix(key));
        let bound = attribute("c=").ok_or(Refusal::Malformed)?;
        let nonce = attribute("r=").ok_or(Refusal::Malformed)?;
        extensions(attributes)?;
        let decode = |text| Base64::decode_vec(text).map_err(|_| Refusal::Malformed);
        let proof = decode(proof)?.try_into().map_err(|_| Refusal::Malformed)?;
        Ok(Self { bound: decode(bound)?, nonce, proof, without_proof })
    }
}

/// What comes behind what is known: it is left alone, but for `m`, which says that it must be
/// understood. None is.
fn extensions<'a>(mut rest: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let right = |text: &str| match text.as_bytes() {
        [key, b'=', _, ..] => key.is_ascii_alphabetic() && *key != b'm',
        _ => false,
    };
    if rest.all(right) { Ok(()) } else { Err(Refusal::Malformed) }
}

/// A name without its escapes (`saslname`).
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut whole = parts.next()?.to_owned();
    for part in parts {
        let (rest, character) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (rest, ','),
            (_, Some(rest)) => (rest, '='),
            _ => return None,
        };
        whole.push(character);
        whole.push_str(rest);
    }
    (!whole.is_empty()).then_some(whole)
}

fn is_nonce(text: &str) -> bool {
    (1..=CLIENT_NONCE_LIMIT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_with_escapes_and_messages_cut_short_are_refused() {
        let parse = |text: &[u8]| First::parse(text, false, None);
        let first = parse(b"n,a=a=2Cb,n=u=3Dv,r=abc,x=ignored").unwrap();
        assert_eq!((first.authorization.as_str(), first.name.as_str()), ("a,b", "u=v"));
        let whole = b"n,,n=user,r=";
        for end in 0..=whole.len() {
            assert_eq!(parse(&whole[..end]), Err(Refusal::Malformed), "{end}");
        }
        for wrong in [
            "n,a,n=u,r=a",
            "n,,m=1,n=u,r=a",
            "n,,n=u=,r=a",
            "n,,n=u=2c,r=a",
            "n,,n=,r=a",
            "n,,n=u,r=",
            "n,,r=a,n=u",
            "n,,n=u,r=a b",
            "n,,n=u,r=\u{e9}",
            "n,,n",
            "n,,,",
            // What must be understood, wherever it stands, and what is no attribute.
            "n,,n=u,r=a,m=x",
            "n,,n=u,r=a,x=y,m=x",
            "n,,n=u,r=a,",
            "n,,n=u,r=a,x",
            "n,,n=u,r=a,x=",
            "n,,n=u,r=a,=x",
            "n,,n=u,r=a,1=x",
            ",,,,",
        ] {
            assert_eq!(parse(wrong.as_bytes()), Err(Refusal::Malformed), "{wrong}");
        }
        assert_eq!(parse(b"n,,n=\xff,r=a"), Err(Refusal::Malformed));
        let last = |more: &str| {
            let proof = Base64::encode_string(&[0; DIGEST]);
            Last::parse(format!("c=biws,r=a{more},p={proof}").as_bytes()).map(drop)
        };
        assert_eq!((last(""), last(",x=y")), (Ok(()), Ok(())));
        for wrong in [",m=x", ",x=y,m=x", ",", ",x"] {
            assert_eq!(last(wrong), Err(Refusal::Malformed), "{wrong}");
        }
    }
}
