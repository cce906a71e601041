//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, without I/O.
//!
//! Invariants: the proof is judged with the stored keys, in constant time; a client that says it
//! could have bound the exchange to TLS, where that was offered, is refused, and so is one whose
//! binding is another connection's: somebody is in the middle. Nothing tells a made-up user's keys
//! from a real one's.

mod messages;

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64ct::{Base64, Encoding as _};
use icu_normalizer::ComposingNormalizerBorrowed;
use rustls::{ProtocolVersion, ServerConnection};
use zeroize::Zeroizing;

use messages::Last;
pub(super) use messages::{DIGEST, First, Refusal};

/// What the octets of `tls-exporter` are exported for (RFC 9266 section 4.2).
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";
/// Octets of randomness in the server's part of a nonce.
pub(super) const NONCE: usize = 18;
/// Octets of a salt at most.
pub(super) const SALT_LIMIT: usize = 256;

/// What is stored of a password.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    stored: [u8; DIGEST],
    server: [u8; DIGEST],
}

impl Keys {
    /// Those of a password, prepared as a client does.
    pub(super) fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let salted = salted(password, salt, iterations);
        let client = client_key(&salted);
        Self {
            iterations: iterations.get(),
            salt: salt.to_vec(),
            stored: sha256(&*client),
            server: server_key(&salted),
        }
    }

    /// `iterations,salt,stored,server`.
    pub(super) fn from_dovecot(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let parts = [
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next().unwrap_or(""),
        ];
        let [iterations, salt, stored, server, ""] = parts else { return None };
        Self::read(iterations, salt, stored, server)
    }

    /// `SCRAM-SHA-256$iterations:salt$stored:server` (RFC 5803).
    pub(super) fn from_postgres(text: &str) -> Option<Self> {
        let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Self::read(iterations, salt, stored, server)
    }

    fn read(iterations: &str, salt: &str, stored: &str, server: &str) -> Option<Self> {
        let decode = |text: &str| Base64::decode_vec(text).ok();
        let iterations = iterations.parse::<NonZeroU32>().ok()?.get();
        let salt = decode(salt).filter(|salt| (1..=SALT_LIMIT).contains(&salt.len()))?;
        let key = |text: &str| decode(text)?.try_into().ok();
        Some(Self { iterations, salt, stored: key(stored)?, server: key(server)? })
    }

    /// As Dovecot writes it.
    pub(super) fn to_dovecot(&self) -> String {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored, &self.server].map(Base64::encode_string);
        format!("{{SCRAM-SHA-256}}{},{salt},{stored},{server}", self.iterations)
    }

    /// The keys of somebody who isn't there, whom no proof proves: always the same for a seed.
    pub(super) fn made_up(seed: &[u8; DIGEST], like: &Self) -> Self {
        let part = |name: &[u8]| mac(seed, &[name]);
        let mut salt = Vec::new();
        while salt.len() < like.salt.len() {
            salt.extend_from_slice(&mac(seed, &[b"salt", &salt]));
        }
        salt.truncate(like.salt.len());
        Self { iterations: like.iterations, salt, stored: part(b"stored"), server: part(b"server") }
    }

    /// Whether a password has these keys.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let Some(iterations) = NonZeroU32::new(self.iterations) else { return false };
        let computed = Self::derive(password, &self.salt, iterations);
        constant_time::verify_slices_are_equal(&computed.stored, &self.stored).is_ok()
    }
}

/// A password, prepared as a client does, with its salt (RFC 5802 section 3).
pub(super) fn salted(
    password: &[u8],
    salt: &[u8],
    iterations: NonZeroU32,
) -> Zeroizing<[u8; DIGEST]> {
    let mut salted = Zeroizing::new([0; DIGEST]);
    let password = prepared(password);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &password, &mut *salted);
    salted
}

pub(super) fn client_key(salted: &[u8; DIGEST]) -> Zeroizing<[u8; DIGEST]> {
    Zeroizing::new(mac(salted, &[b"Client Key"]))
}

pub(super) fn server_key(salted: &[u8; DIGEST]) -> [u8; DIGEST] {
    mac(salted, &[b"Server Key"])
}

/// A password as SASLprep (RFC 4013) has it, for those that mean something in it: composed, by
/// compatibility. Octets that are no text stay as they are.
fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match std::str::from_utf8(password) {
        Ok(text) => {
            ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned().into_bytes()
        }
        Err(_) => password.to_vec(),
    })
}

/// What binds an exchange to the TLS 1.3 connection that it goes through: `tls-exporter` (RFC
/// 9266). Older connections have none that is unique without more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding(Option<[u8; DIGEST]>);

impl Binding {
    /// To this connection.
    pub fn to(connection: &ServerConnection) -> Self {
        if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Self(None);
        }
        let exported = connection.export_keying_material([0; DIGEST], EXPORTER, None);
        Self(exported.ok())
    }

    /// Whether there is anything to bind to.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// What is exported.
    pub(super) fn octets(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|octets| &octets[..])
    }
}

/// The server's side after the first message.
pub(super) struct Server {
    keys: Keys,
    bound: Vec<u8>,
    nonce: String,
    /// The first messages of both.
    said: String,
}

impl Server {
    /// Answers the first message.
    ///
    /// # Errors
    /// There is no randomness.
    pub(super) fn begin(first: First, keys: Keys) -> Result<(Self, Vec<u8>), getrandom::Error> {
        let mut own = [0; NONCE];
        getrandom::fill(&mut own)?;
        Ok(Self::begin_with(first, keys, &Base64::encode_string(&own)))
    }

    fn begin_with(first: First, keys: Keys, own: &str) -> (Self, Vec<u8>) {
        let nonce = format!("{}{own}", first.nonce);
        let salt = Base64::encode_string(&keys.salt);
        let challenge = format!("r={nonce},s={salt},i={}", keys.iterations);
        let said = format!("{},{challenge}", first.bare);
        (Self { keys, bound: first.bound, nonce, said }, challenge.into_bytes())
    }

    /// Judges the last message; what the client is answered proves the server to it.
    pub(super) fn finish(self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let last = Last::parse(message)?;
        if constant_time::verify_slices_are_equal(&last.bound, &self.bound).is_err() {
            return Err(Refusal::Binding);
        }
        if last.nonce != self.nonce {
            return Err(Refusal::Proof);
        }
        let said: [&[u8]; 3] = [self.said.as_bytes(), b",", last.without_proof.as_bytes()];
        let signature = mac(&self.keys.stored, &said);
        let mut client = Zeroizing::new(last.proof);
        client.iter_mut().zip(signature).for_each(|(octet, mask)| *octet ^= mask);
        if constant_time::verify_slices_are_equal(&sha256(&*client), &self.keys.stored).is_err() {
            return Err(Refusal::Proof);
        }
        Ok(format!("v={}", Base64::encode_string(&mac(&self.keys.server, &said))).into_bytes())
    }
}

pub(super) fn sha256(octets: &[u8]) -> [u8; DIGEST] {
    fixed(digest::digest(&digest::SHA256, octets).as_ref())
}

/// HMAC-SHA-256 of these parts, one after the other.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    fixed(context.sign().as_ref())
}

/// What has as many octets as a digest, as an array.
fn fixed(octets: &[u8]) -> [u8; DIGEST] {
    std::array::from_fn(|at| octets.get(at).copied().unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// The exchange of RFC 7677 section 3.
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const VERIFIER: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn keys() -> Keys {
        let salt = Base64::decode_vec("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        Keys::derive(b"pencil", &salt, NonZeroU32::new(4096).unwrap())
    }

    fn begun() -> (Server, Vec<u8>) {
        static KEYS: LazyLock<Keys> = LazyLock::new(keys);
        let first = First::parse(FIRST.as_bytes(), false, None).unwrap();
        assert_eq!(first.name, "user");
        Server::begin_with(first, KEYS.clone(), OWN)
    }

    #[test]
    fn the_exchange_of_the_rfc() {
        let (server, challenge) = begun();
        assert_eq!(String::from_utf8(challenge).unwrap(), CHALLENGE);
        assert_eq!(server.finish(LAST.as_bytes()), Ok(VERIFIER.as_bytes().to_vec()));
    }

    #[test]
    fn another_proof_nonce_or_binding_is_refused() {
        for (change, to, refusal) in [
            ("p=dHzb", "p=dHzc", Refusal::Proof),
            ("r=rOpr", "r=rOps", Refusal::Proof),
            ("c=biws", "c=eSws", Refusal::Binding),
            (",p=", ",q=", Refusal::Malformed),
            ("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "p=", Refusal::Malformed),
            ("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "p=dHzb", Refusal::Malformed),
            ("c=biws,", "", Refusal::Malformed),
            (LAST, "", Refusal::Malformed),
        ] {
            let answer = begun().0.finish(LAST.replacen(change, to, 1).as_bytes());
            assert_eq!(answer, Err(refusal), "{change} to {to}");
        }
    }

    /// What a client with a password says at the end.
    pub(in super::super) fn last(
        first: &str,
        challenge: &str,
        bound: &[u8],
        password: &[u8],
    ) -> String {
        let part =
            |key: &str| challenge.split(',').find_map(|part| part.strip_prefix(key)).unwrap();
        let salt = Base64::decode_vec(part("s=")).unwrap();
        let iterations = part("i=").parse().unwrap();
        let mut salted = [0; DIGEST];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut salted);
        let client = mac(&salted, &[b"Client Key"]);
        let bare = first.splitn(3, ',').nth(2).unwrap();
        let without = format!("c={},r={}", Base64::encode_string(bound), part("r="));
        let said = format!("{bare},{challenge},{without}");
        let signature = mac(&sha256(&client), &[said.as_bytes()]);
        let proof: Vec<u8> = client.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        format!("{without},p={}", Base64::encode_string(&proof))
    }

    #[test]
    fn a_binding_is_to_this_connection_and_not_left_out_on_the_way() {
        let here: Option<&[u8]> = Some(&[7; DIGEST]);
        let none = None;
        let parse = |first: &str, plus, binding| {
            First::parse(format!("{first},,n=user,r=abc").as_bytes(), plus, binding).map(drop)
        };
        for (flag, plus, binding, expected) in [
            ("n", false, here, Ok(())),
            ("n", false, none, Ok(())),
            ("y", false, none, Ok(())),
            ("y", false, here, Err(Refusal::Downgraded)),
            ("p=tls-exporter", true, here, Ok(())),
            ("p=tls-exporter", true, none, Err(Refusal::Binding)),
            ("p=tls-unique", true, here, Err(Refusal::Binding)),
            ("p=tls-exporter", false, here, Err(Refusal::Binding)),
            ("n", true, here, Err(Refusal::Binding)),
            ("y", true, here, Err(Refusal::Binding)),
            ("x", true, here, Err(Refusal::Malformed)),
        ] {
            assert_eq!(parse(flag, plus, binding), expected, "{flag} {plus}");
        }
        let first = "p=tls-exporter,,n=user,r=abc";
        for (octet, right) in [(7, true), (8, false)] {
            let parsed = First::parse(first.as_bytes(), true, here).unwrap();
            let (server, challenge) = Server::begin_with(parsed, keys(), "xyz");
            let bound = [b"p=tls-exporter,,".as_slice(), &[octet; 32]].concat();
            let challenge = String::from_utf8(challenge).unwrap();
            let last = last(first, &challenge, &bound, b"pencil");
            assert_eq!(server.finish(last.as_bytes()).is_ok(), right);
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_refused_or_read(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "n,", "y,", "p=tls-exporter,", ",", "a=b,", "n=user", "r=abc", "=2C", "=",
                    "c=biws",
                    "p=AAAA", "m=", "\u{e9}", "\0",
                ]),
                0..10,
            ),
            plus in any::<bool>(),
        ) {
            let message = parts.concat();
            let here: Option<&[u8]> = Some(&[7; DIGEST]);
            if let Ok(first) = First::parse(message.as_bytes(), plus, here) {
                prop_assert!(!first.name.is_empty() && !first.nonce.is_empty());
                prop_assert!(message.ends_with(&first.bare));
            }
            prop_assert!(begun().0.finish(message.as_bytes()).is_err());
        }
    }

    #[test]
    fn who_is_not_there_looks_like_the_others() {
        let seed = [1; DIGEST];
        let (one, again) = (Keys::made_up(&seed, &keys()), Keys::made_up(&seed, &keys()));
        assert_eq!((&one.salt, one.stored), (&again.salt, again.stored));
        assert_eq!((one.salt.len(), one.iterations), (keys().salt.len(), keys().iterations));
        assert_ne!(one.salt, Keys::made_up(&[2; DIGEST], &keys()).salt);
    }
}
