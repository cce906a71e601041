//! What the table of users holds of a password, and whether a password is the one.
//!
//! Schemes: argon2id, bcrypt, sha-crypt (`$5$`, `$6$`) and SCRAM-SHA-256. Entries of Dovecot and of
//! PostgreSQL are read as they are. Invariants: what it costs to check one is bounded; an entry
//! that can't be read is an error, never a match. Blocks for as long as the scheme's author wants
//! it: never on the event loop.

use std::fmt;
use std::num::NonZeroU32;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time;
use sha_crypt::{Sha256Params, Sha512Params};
use zeroize::Zeroizing;

use super::scram;

/// The longest password, in bytes. sha-crypt works for as long as the password is, on each of its
/// rounds.
const PASSWORD_LIMIT: usize = 1_024;
/// The most that an entry may ask for: a second or so of one processor, and 256 MiB.
const ARGON2_MEMORY_KIB: u32 = 256 << 10;
const ARGON2_PASSES: u32 = 64;
const ARGON2_LANES: u32 = 64;
const BCRYPT_COST: u32 = 16;
const SHA_CRYPT_ROUNDS: usize = 1_000_000;
const SCRAM_ITERATIONS: u32 = 1_000_000;

/// What an entry that is made here costs. argon2id: OWASP's least, 19 MiB and two passes.
const NEW_BCRYPT_COST: u32 = 12;
/// RFC 7677 asks for 4,096 at least; Dovecot and PostgreSQL make as many. Clients have to compute
/// them, some on a phone.
const NEW_SCRAM_ITERATIONS: u32 = 4_096;
/// Octets of a salt that is made here.
pub(super) const SALT: usize = 16;

/// The schemes in which an entry can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheme {
    /// The best of these against whoever steals the table.
    Argon2id,
    /// For those who share the table with a program that knows nothing better.
    Bcrypt,
    /// The only one with which the password needn't be sent.
    #[value(name = "scram-sha-256")]
    ScramSha256,
}

/// Why an entry can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// There is none.
    #[error("is empty: `facteur passwd` makes one")]
    Empty,
    /// Another scheme.
    #[error(
        "is of no scheme that is known here (argon2id, bcrypt, $5$, $6$, SCRAM-SHA-256): \
         `facteur passwd` makes one"
    )]
    Scheme,
    /// A known scheme, and not what it must look like.
    #[error("is no whole {0} entry: `facteur passwd` makes one")]
    Form(&'static str),
    /// It costs too much.
    #[error("costs more to check than a login may ({0}): make one with less")]
    Cost(&'static str),
}

/// What proves one login.
#[derive(Clone)]
pub(super) enum Verifier {
    /// A PHC string.
    Argon2(Box<str>),
    /// A string of bcrypt's.
    Bcrypt(Box<str>),
    ShaCrypt(ShaCrypt),
    Scram(scram::Keys),
    /// Nothing does: `*`, or `!` before an entry, as in shadow(5).
    Locked,
}

/// A sha-crypt entry (`$5$`, `$6$`).
#[derive(Clone)]
pub(super) struct ShaCrypt {
    long: bool,
    rounds: usize,
    salt: Box<str>,
    hash: Box<str>,
}

impl fmt::Debug for Verifier {
    /// What it costs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.cost())
    }
}

impl Verifier {
    /// Reads an entry.
    pub(super) fn parse(entry: &str) -> Result<Self, EntryError> {
        let entry = entry.trim();
        if entry.is_empty() {
            return Err(EntryError::Empty);
        }
        if entry.starts_with(['*', '!']) {
            return Ok(Self::Locked);
        }
        let (scheme, hash) = match entry.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((scheme, hash)) => (scheme.to_ascii_uppercase(), hash),
            None => (String::new(), entry),
        };
        match (scheme.as_str(), hash) {
            ("SCRAM-SHA-256", _) => Self::scram(scram::Keys::from_dovecot(hash)),
            ("", _) if hash.starts_with("SCRAM-SHA-256$") => {
                Self::scram(scram::Keys::from_postgres(hash))
            }
            ("" | "ARGON2ID" | "CRYPT", _) if hash.starts_with("$argon2id$") => Self::argon2(hash),
            ("" | "BLF-CRYPT" | "CRYPT", _) if hash.starts_with("$2") => Self::bcrypt(hash),
            ("" | "SHA256-CRYPT" | "CRYPT", _) if hash.starts_with("$5$") => {
                ShaCrypt::parse(hash, false).map(Self::ShaCrypt)
            }
            ("" | "SHA512-CRYPT" | "CRYPT", _) if hash.starts_with("$6$") => {
                ShaCrypt::parse(hash, true).map(Self::ShaCrypt)
            }
            _ => Err(EntryError::Scheme),
        }
    }

    fn scram(keys: Option<scram::Keys>) -> Result<Self, EntryError> {
        let keys = keys.ok_or(EntryError::Form("SCRAM-SHA-256"))?;
        if keys.iterations > SCRAM_ITERATIONS {
            return Err(EntryError::Cost("1,000,000 iterations"));
        }
        Ok(Self::Scram(keys))
    }

    fn argon2(hash: &str) -> Result<Self, EntryError> {
        let broken = EntryError::Form("argon2id");
        let parsed = PasswordHash::new(hash).map_err(|_| broken.clone())?;
        let (Ok(params), Some(_), Some(_)) = (Params::try_from(&parsed), parsed.salt, parsed.hash)
        else {
            return Err(broken);
        };
        if params.m_cost() > ARGON2_MEMORY_KIB
            || params.t_cost() > ARGON2_PASSES
            || params.p_cost() > ARGON2_LANES
        {
            return Err(EntryError::Cost("256 MiB, 64 passes, 64 lanes"));
        }
        Ok(Self::Argon2(hash.into()))
    }

    fn bcrypt(hash: &str) -> Result<Self, EntryError> {
        let cost = hash.get(4..6).and_then(|digits| digits.parse::<u32>().ok());
        let letters =
            |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
        let right = hash.len() == 60
            && matches!(hash.get(..4), Some("$2a$" | "$2b$" | "$2x$" | "$2y$"))
            && hash.as_bytes().get(6) == Some(&b'$')
            && hash.get(7..).is_some_and(letters);
        match cost {
            Some(4..=BCRYPT_COST) if right => Ok(Self::Bcrypt(hash.into())),
            Some(_) if right => Err(EntryError::Cost("2^16 rounds")),
            _ => Err(EntryError::Form("bcrypt")),
        }
    }

    /// Whether the password is the one. Blocks.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        #[cfg(test)]
        tests::WORK.with_borrow_mut(|work| work.push(self.cost()));
        // To HMAC a key is the same with NULs after it, and to bcrypt it ends there.
        if password.len() > PASSWORD_LIMIT || password.contains(&0) {
            return false;
        }
        match self {
            Self::Argon2(hash) => PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::ShaCrypt(hash) => hash.verify(password),
            Self::Scram(keys) => keys.verify(password),
            Self::Locked => false,
        }
    }

    /// What it takes to check a password: the scheme and its numbers.
    pub(super) fn cost(&self) -> String {
        match self {
            Self::Argon2(hash) => {
                let salt = hash.match_indices('$').nth(3).map_or(hash.len(), |(at, _)| at);
                hash[..salt].to_owned()
            }
            Self::Bcrypt(hash) => format!("bcrypt {}", hash.get(4..6).unwrap_or_default()),
            Self::ShaCrypt(hash) => {
                format!("sha-crypt {} {}", if hash.long { 512 } else { 256 }, hash.rounds)
            }
            Self::Scram(keys) => format!("scram {}", keys.iterations),
            Self::Locked => "locked".to_owned(),
        }
    }

    /// What an entry is taken for that isn't there, in a table without any.
    pub(super) fn usual() -> Self {
        Self::Argon2(
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                .into(),
        )
    }
}

impl ShaCrypt {
    fn parse(entry: &str, long: bool) -> Result<Self, EntryError> {
        let (name, letters) = if long { ("$6$", 86) } else { ("$5$", 43) };
        let broken = EntryError::Form(name);
        let mut parts = entry[3..].split('$');
        let mut part = || parts.next().ok_or_else(|| broken.clone());
        let first = part()?;
        let (rounds, salt) = match first.strip_prefix("rounds=") {
            Some(rounds) => (rounds.parse().map_err(|_| broken.clone())?, part()?),
            None => (sha_crypt::ROUNDS_DEFAULT, first),
        };
        let hash = part()?;
        if parts.next().is_some() || hash.len() != letters || !hash.is_ascii() {
            return Err(broken);
        }
        // crypt(3) takes a number that is too small for the least one.
        let rounds = usize::max(rounds, sha_crypt::ROUNDS_MIN);
        if rounds > SHA_CRYPT_ROUNDS {
            return Err(EntryError::Cost("1,000,000 rounds"));
        }
        Ok(Self { long, rounds, salt: salt.into(), hash: hash.into() })
    }

    fn verify(&self, password: &[u8]) -> bool {
        let salt = self.salt.as_bytes();
        let computed = if self.long {
            let params = Sha512Params::new(self.rounds);
            params.and_then(|params| sha_crypt::sha512_crypt_b64(password, salt, &params))
        } else {
            let params = Sha256Params::new(self.rounds);
            params.and_then(|params| sha_crypt::sha256_crypt_b64(password, salt, &params))
        };
        computed.is_ok_and(|computed| {
            let (computed, hash) = (computed.as_bytes(), self.hash.as_bytes());
            constant_time::verify_slices_are_equal(computed, hash).is_ok()
        })
    }
}

/// Makes the entry of a password. Blocks.
///
/// # Errors
/// The password can't be one, or there is no randomness.
pub fn entry(scheme: Scheme, password: &Zeroizing<String>) -> Result<String, String> {
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    let limit = if scheme == Scheme::Bcrypt { 72 } else { PASSWORD_LIMIT };
    if password.len() > limit {
        return Err(format!("the password is longer than {limit} bytes"));
    }
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|error| format!("there is no randomness: {error}"))?;
    match scheme {
        Scheme::Argon2id => {
            let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
            let hash = argon2.hash_password(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
        }
        Scheme::Bcrypt => bcrypt::hash_with_salt(password.as_bytes(), NEW_BCRYPT_COST, salt)
            .map(|parts| parts.format_for_version(bcrypt::Version::TwoB))
            .map_err(|error| error.to_string()),
        Scheme::ScramSha256 => {
            let iterations =
                NonZeroU32::new(NEW_SCRAM_ITERATIONS).ok_or_else(|| "no iterations".to_owned())?;
            Ok(scram::Keys::derive(password.as_bytes(), &salt, iterations).to_dovecot())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// What was computed on this thread.
        pub(in super::super) static WORK: RefCell<Vec<String>> = RefCell::default();
    }

    /// Entries of "sesame" that other programs made.
    pub(in super::super) const ENTRIES: [&str; 6] = [
        // `openssl passwd`, crypt(3).
        "$6$saltsalt$g3uPFdehVnKoLXdidvSAg1zlVgYomPr0X/xgdXSBn2LuxZUOGgYW4IULZkguZ77fzYteIur49AGHmF\
         9iek6Sf1",
        "$5$saltsalt$Arv3XkXcPR5LHLrzVCBdKV5hwRocYIyFvUvGa9tbc06",
        "{SHA512-CRYPT}$6$rounds=2000$saltsalt$QhACt8F/D7bAvytQzvL.ou.AYdtbGv0kDfyx61WyzOR/mAx9Dt9L\
         n6DnE0SPNGw9VP6qzDshB8gb8WHJ8bzTO1",
        "{BLF-CRYPT}$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O",
        // Dovecot's form, and PostgreSQL's.
        "{SCRAM-SHA-256}4096,c2FsdHNhbHRzYWx0c2FsdA==,jLGK0jo09vcWEr1zVaEQgMNSmYL4LwOU+GtLGPoW7PY=,\
         QBsTkA4W24SpKigPuJRW7H9JV8r8xlumx0R+b3oTLXE=",
        "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$jLGK0jo09vcWEr1zVaEQgMNSmYL4LwOU+GtLGPoW7PY=:\
         QBsTkA4W24SpKigPuJRW7H9JV8r8xlumx0R+b3oTLXE=",
    ];

    #[test]
    fn what_other_programs_made_is_read_and_checked() {
        for entry in ENTRIES {
            let verifier =
                Verifier::parse(entry).unwrap_or_else(|error| panic!("{entry}: {error}"));
            assert!(verifier.verify(b"sesame"), "{entry}");
            for wrong in [&b"sesame "[..], b"Sesame", b"", b"sesame\0", &[b'x'; 2_000]] {
                assert!(!verifier.verify(wrong), "{entry}");
            }
        }
    }

    #[test]
    fn what_is_made_here_is_read_here() {
        for scheme in [Scheme::Argon2id, Scheme::Bcrypt, Scheme::ScramSha256] {
            let password = Zeroizing::new("pa ss\u{e9}".to_owned());
            let made = entry(scheme, &password).unwrap();
            let verifier = Verifier::parse(&made).unwrap();
            assert!(verifier.verify("pa ss\u{e9}".as_bytes()), "{made}");
            assert!(!verifier.verify(b"pa ss"), "{made}");
            assert_ne!(made, entry(scheme, &password).unwrap(), "a salt of its own");
            assert!(entry(scheme, &Zeroizing::new("x".repeat(5_000))).is_err());
        }
    }

    #[test]
    fn what_is_no_entry_is_told_and_matches_nothing() {
        for (entry, error) in [
            ("", "is empty: `facteur passwd` makes one"),
            ("sesame", "is of no scheme that is known here"),
            ("{PLAIN}sesame", "is of no scheme"),
            ("$1$salt$hash", "is of no scheme"),
            ("{BLF-CRYPT}$6$a$b", "is of no scheme"),
            ("$6$salt$short", "is no whole $6$ entry"),
            ("$argon2id$v=19$m=19456,t=2,p=1$AAAA", "is no whole argon2id entry"),
            ("$2b$12$short", "is no whole bcrypt entry"),
            ("{SCRAM-SHA-256}4096,AAAA", "is no whole SCRAM-SHA-256 entry"),
            ("$2b$31$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "costs more"),
            (
                "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "costs more",
            ),
        ] {
            let told = Verifier::parse(entry).map(|_| ()).unwrap_err().to_string();
            assert!(told.starts_with(error), "{entry}: {told}");
        }
        for locked in ["*", "!", "!$6$saltsalt$x", "*LK*"] {
            assert!(!Verifier::parse(locked).unwrap().verify(b""), "{locked}");
        }
        assert!(!Verifier::usual().verify(b""));
    }
}
