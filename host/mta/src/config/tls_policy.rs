//! How much TLS a destination wants: a level and its attributes, as Postfix's
//! `smtp_tls_policy_maps` has them.
//!
//! The default of `[delivery.tls]` and the values of its table are written alike: `may`, `encrypt
//! protocols=>=TLSv1.3`, `secure match=example.org:.example.org`, `fingerprint match=AB:CD:…`.
//! Knows no connection: what is asked of a server here is judged by those who talk to it.

use std::str::FromStr;

/// Octets of SHA-256.
const SHA256: usize = 32;
/// The grades of ciphers that Postfix knows and that ask for nothing but what rustls speaks.
const GRADES: [&str; 2] = ["high", "medium"];

/// How much TLS a destination wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsPolicy {
    /// The level.
    pub level: TlsLevel,
    /// Whose certificate it must be: for `verify` and `secure`, never empty there.
    pub names: Vec<NamePattern>,
    /// SHA-256 of the certificate or of its public key: for `fingerprint`, never empty there.
    pub fingerprints: Vec<Fingerprint>,
    /// What is spoken.
    pub versions: TlsVersions,
}

/// SHA-256 of a certificate, or of its public key (`SubjectPublicKeyInfo`).
pub type Fingerprint = [u8; SHA256];

/// The levels, the weakest first (`smtp_tls_security_level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsLevel {
    /// Never.
    None,
    /// Where the server offers it, whoever it is.
    May,
    /// Always, whoever the server is.
    Encrypt,
    /// Always, with one of these certificates.
    Fingerprint,
    /// Always, with a certificate that an authority vouches for, in the name of the host.
    Verify,
    /// The same, in the name of the next hop: whatever the DNS says.
    Secure,
}

/// Whose name a certificate must have (`smtp_tls_verify_cert_match`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// `hostname`: the host that the DNS named.
    Hostname,
    /// `nexthop`: the next hop.
    NextHop,
    /// `dot-nexthop`: any name below the next hop.
    BelowNextHop,
    /// This name, or with a leading dot any below it; lower case, A-labels.
    Name(String),
}

/// The versions of TLS that may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

/// What is wrong with a policy, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsPolicyError {
    /// Nothing.
    #[error("there is no level: write one of {LEVELS}")]
    Empty,
    /// No such level.
    #[error("there is no level \"{0}\": write one of {LEVELS}")]
    Level(String),
    /// No `name=value`.
    #[error("\"{0}\" is no attribute: write match=…, protocols=… or ciphers=… after the level")]
    NoAttribute(String),
    /// Postfix has it, facteur hasn't.
    #[error("there is no attribute \"{name}\": {instead}")]
    NotHere {
        /// Its name.
        name: String,
        /// What there is.
        instead: &'static str,
    },
    /// `match` where nothing is compared.
    #[error(
        "the level {0} compares nothing: take match=… out, or write secure, verify or fingerprint"
    )]
    NothingCompared(String),
    /// `fingerprint` without one.
    #[error("fingerprint needs one: add match=… with the SHA-256 of the certificate or of its key")]
    NoFingerprint,
    /// No SHA-256.
    #[error("\"{0}\" is no SHA-256: write its 64 hexadecimal digits, with or without colons")]
    Fingerprint(String),
    /// No name.
    #[error("\"{0}\" is no name: write hostname, nexthop, dot-nexthop, a domain or .domain")]
    Name(String),
    /// No version.
    #[error("\"{0}\" is no version of TLS: write TLSv1.2, TLSv1.3, >=TLSv1.3, or !TLSv1.2")]
    Version(String),
    /// None is left.
    #[error("no version is left: facteur speaks TLSv1.2 and TLSv1.3")]
    NoVersion,
    /// No grade.
    #[error("\"{0}\" is no grade of ciphers that could be spoken: write high, or take it out")]
    Grade(String),
}

const LEVELS: &str = "none, may, encrypt, fingerprint, verify, secure";

impl TlsPolicy {
    /// This level, as it is without attributes; `fingerprint` has nothing to compare.
    pub fn of(level: TlsLevel) -> Self {
        let names = match level {
            TlsLevel::Verify => vec![NamePattern::Hostname],
            TlsLevel::Secure => vec![NamePattern::NextHop, NamePattern::BelowNextHop],
            _ => Vec::new(),
        };
        Self { level, names, fingerprints: Vec::new(), versions: TlsVersions::Both }
    }
}

impl FromStr for TlsPolicy {
    type Err = TlsPolicyError;

    fn from_str(text: &str) -> Result<Self, TlsPolicyError> {
        let parted = text.split(|c: char| c.is_whitespace() || c == ',');
        let mut words = parted.filter(|word| !word.is_empty());
        let word = words.next().ok_or(TlsPolicyError::Empty)?;
        let level = level(word).ok_or_else(|| TlsPolicyError::Level(word.to_owned()))?;
        let mut policy = Self::of(level);
        let mut names = Vec::new();
        for word in words {
            let (name, value) =
                word.split_once('=').ok_or_else(|| TlsPolicyError::NoAttribute(word.to_owned()))?;
            match &*name.to_ascii_lowercase() {
                "match" => match level {
                    TlsLevel::Verify | TlsLevel::Secure => {
                        for one in value.split(':') {
                            names.push(pattern(one)?);
                        }
                    }
                    TlsLevel::Fingerprint => {
                        for one in value.split('|') {
                            policy.fingerprints.push(fingerprint(one)?);
                        }
                    }
                    _ => return Err(TlsPolicyError::NothingCompared(word.to_owned())),
                },
                "protocols" => policy.versions = versions(value)?,
                "ciphers" if GRADES.contains(&&*value.to_ascii_lowercase()) => {}
                "ciphers" => return Err(TlsPolicyError::Grade(value.to_owned())),
                name => {
                    let instead = match name {
                        "tafile" => "name the authorities with ca-file in [delivery.tls]",
                        "exclude" => "no weak cipher is spoken; take it out",
                        "servername" => "servers are asked for by their host's name; take it out",
                        "connection_reuse" => "connections are kept anyway; take it out",
                        _ => "known are match, protocols and ciphers",
                    };
                    return Err(TlsPolicyError::NotHere { name: name.to_owned(), instead });
                }
            }
        }
        if !names.is_empty() {
            policy.names = names;
        }
        if level == TlsLevel::Fingerprint && policy.fingerprints.is_empty() {
            return Err(TlsPolicyError::NoFingerprint);
        }
        Ok(policy)
    }
}

fn level(word: &str) -> Option<TlsLevel> {
    Some(match &*word.to_ascii_lowercase() {
        "none" => TlsLevel::None,
        "may" => TlsLevel::May,
        "encrypt" => TlsLevel::Encrypt,
        "fingerprint" => TlsLevel::Fingerprint,
        "verify" => TlsLevel::Verify,
        "secure" => TlsLevel::Secure,
        _ => return None,
    })
}

fn pattern(text: &str) -> Result<NamePattern, TlsPolicyError> {
    Ok(match &*text.to_ascii_lowercase() {
        "hostname" => NamePattern::Hostname,
        "nexthop" => NamePattern::NextHop,
        "dot-nexthop" => NamePattern::BelowNextHop,
        _ => {
            let (dot, name) = text.strip_prefix('.').map_or(("", text), |name| (".", name));
            let name = facteur_smtp::key(name);
            let ascii = facteur_smtp::ascii_domain(&name);
            if ascii.is_empty() || !ascii.is_ascii() || ascii.contains(['*', '[']) {
                return Err(TlsPolicyError::Name(text.to_owned()));
            }
            NamePattern::Name(format!("{dot}{ascii}"))
        }
    })
}

fn fingerprint(text: &str) -> Result<Fingerprint, TlsPolicyError> {
    let wrong = || TlsPolicyError::Fingerprint(text.to_owned());
    let digits: Vec<u32> = text
        .chars()
        .filter(|&c| c != ':')
        .map(|c| c.to_digit(16).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    let octets: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect();
    octets.and_then(|octets| octets.try_into().ok()).ok_or_else(wrong)
}

/// As Postfix reads `smtp_tls_protocols`: a list of what there is, of what there isn't (`!`), or
/// the first (`>=`) and the last (`<=`).
fn versions(text: &str) -> Result<TlsVersions, TlsPolicyError> {
    /// The versions that Postfix knows, and whether each is spoken here.
    const KNOWN: [(&str, u8); 6] =
        [("sslv2", 0), ("sslv3", 1), ("tlsv1", 2), ("tlsv1.1", 3), ("tlsv1.2", 4), ("tlsv1.3", 5)];
    let number = |word: &str| {
        let found = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, number)| *number).ok_or_else(|| TlsPolicyError::Version(word.to_owned()))
    };
    let (mut first, mut last) = (0, 5);
    let (mut named, mut without) = (Vec::new(), Vec::new());
    for word in text.split(':') {
        if let Some(word) = word.strip_prefix(">=") {
            first = number(word)?;
        } else if let Some(word) = word.strip_prefix("<=") {
            last = number(word)?;
        } else if let Some(word) = word.strip_prefix('!') {
            without.push(number(word)?);
        } else {
            named.push(number(word)?);
        }
    }
    let is_spoken = |version: u8| {
        (first..=last).contains(&version)
            && !without.contains(&version)
            && (named.is_empty() || named.contains(&version))
    };
    match (is_spoken(4), is_spoken(5)) {
        (true, true) => Ok(TlsVersions::Both),
        (true, false) => Ok(TlsVersions::Only12),
        (false, true) => Ok(TlsVersions::Only13),
        (false, false) => Err(TlsPolicyError::NoVersion),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TlsPolicy, String> {
        text.parse().map_err(|error: TlsPolicyError| error.to_string())
    }

    #[test]
    fn levels_have_their_names_and_attributes_change_them() {
        for level in ["none", "may", "encrypt", "MAY"] {
            assert_eq!(read(level).unwrap().names, []);
        }
        assert_eq!(read("verify").unwrap(), TlsPolicy::of(TlsLevel::Verify));
        assert_eq!(read(" secure ciphers=high").unwrap(), TlsPolicy::of(TlsLevel::Secure));
        let named = |text: &str| NamePattern::Name(text.to_owned());
        assert_eq!(
            read("secure match=Example.org:.Bücher.example,match=hostname").unwrap().names,
            [named("example.org"), named(".xn--bcher-kva.example"), NamePattern::Hostname]
        );
        let sum = "AB:".repeat(31) + "cd";
        let policy = read(&format!("fingerprint match={sum}|{}", "12".repeat(32))).unwrap();
        assert_eq!(policy.fingerprints.len(), 2);
        assert_eq!((policy.fingerprints[0][31], policy.fingerprints[1][0]), (0xCD, 0x12));
    }

    #[test]
    fn versions_are_a_list_or_bounds() {
        for (text, versions) in [
            ("TLSv1.3", TlsVersions::Only13),
            (">=TLSv1.2", TlsVersions::Both),
            (">=TLSv1", TlsVersions::Both),
            ("<=TLSv1.2", TlsVersions::Only12),
            ("!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", TlsVersions::Both),
            ("!TLSv1.3", TlsVersions::Only12),
            ("TLSv1.2:TLSv1.3", TlsVersions::Both),
        ] {
            assert_eq!(read(&format!("encrypt protocols={text}")).unwrap().versions, versions);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_write() {
        for (text, wanted) in [
            ("", "there is no level"),
            ("dane-onyl", "\"dane-onyl\""),
            ("may match=example.org", "compares nothing"),
            ("verify hostname", "is no attribute"),
            ("verify match=", "is no name"),
            ("verify match=*.example.org", "is no name"),
            ("secure servername=x", "take it out"),
            ("secure tafile=/etc/ca.pem", "ca-file"),
            ("fingerprint", "needs one"),
            ("fingerprint match=AB:CD", "is no SHA-256"),
            ("encrypt protocols=TLSv1", "no version is left"),
            ("encrypt protocols=TLS13", "is no version"),
            ("encrypt ciphers=export", "is no grade"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
