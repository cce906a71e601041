//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without I/O and without channel binding.

use std::num::NonZeroU32;

use aws_lc_rs::constant_time;
use base64ct::{Base64, Encoding as _};

use super::scram::{DIGEST, NONCE, SALT_LIMIT, client_key, mac, salted, server_key, sha256};

/// What RFC 7677 section 4 asks for: fewer make a password that was overheard cheap to find.
const ITERATIONS_AT_LEAST: u32 = 4096;
/// Some tenths of a second.
const ITERATIONS_AT_MOST: u32 = 1_000_000;
/// What a client without channel binding begins with, and its base64.
const HEADER: (&str, &str) = ("n,,", "biws");

/// What is wrong with what a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerFault {
    /// It isn't written so.
    #[error("the server's message is malformed")]
    Malformed,
    /// It makes the password cheap to find, or takes long.
    #[error("the server asks for {0} iterations; from 4096 to 1000000 are taken")]
    Iterations(u32),
    /// It doesn't know the password.
    #[error("the server has not proved that it knows the password")]
    Proof,
}

/// After the first message.
pub struct Client {
    bare: String,
    nonce: String,
}

/// What the server's last message must be.
pub struct Proof([u8; DIGEST]);

impl Client {
    /// The first message.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn begin(user: &str) -> Result<(Self, Vec<u8>), getrandom::Error> {
        let mut own = [0; NONCE];
        getrandom::fill(&mut own)?;
        Ok(Self::begin_with(user, Base64::encode_string(&own)))
    }

    fn begin_with(user: &str, nonce: String) -> (Self, Vec<u8>) {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={nonce}");
        let first = format!("{}{bare}", HEADER.0).into_bytes();
        (Self { bare, nonce }, first)
    }

    /// The last message, and what the server's must be. Takes as long as the server likes, within
    /// bounds.
    ///
    /// # Errors
    /// The server's message is wrong.
    pub fn answer(self, message: &[u8], password: &[u8]) -> Result<(Proof, Vec<u8>), ServerFault> {
        let message = std::str::from_utf8(message).map_err(|_| ServerFault::Malformed)?;
        let mut attributes = message.split(',');
        let mut attribute = |key| attributes.next().and_then(|text| text.strip_prefix(key));
        let (nonce, salt, iterations) = (attribute("r="), attribute("s="), attribute("i="));
        let is_ours =
            |nonce: &&str| nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce);
        let nonce = nonce.filter(is_ours).ok_or(ServerFault::Malformed)?;
        let salt = salt.and_then(|salt| Base64::decode_vec(salt).ok());
        let salt = salt.filter(|salt| (1..=SALT_LIMIT).contains(&salt.len()));
        let salt = salt.ok_or(ServerFault::Malformed)?;
        let iterations = iterations.and_then(|text| text.parse::<NonZeroU32>().ok());
        let iterations = iterations.ok_or(ServerFault::Malformed)?;
        if !(ITERATIONS_AT_LEAST..=ITERATIONS_AT_MOST).contains(&iterations.get()) {
            return Err(ServerFault::Iterations(iterations.get()));
        }
        let salted = salted(password, &salt, iterations);
        let without_proof = format!("c={},r={nonce}", HEADER.1);
        let said: [&[u8]; 5] =
            [self.bare.as_bytes(), b",", message.as_bytes(), b",", without_proof.as_bytes()];
        let mut proof = client_key(&salted);
        let signature = mac(&sha256(&*proof), &said);
        proof.iter_mut().zip(signature).for_each(|(octet, mask)| *octet ^= mask);
        let answer = format!("{without_proof},p={}", Base64::encode_string(&*proof));
        Ok((Proof(mac(&server_key(&salted), &said)), answer.into_bytes()))
    }
}

impl Proof {
    /// Whether the server knows the password.
    ///
    /// # Errors
    /// It doesn't.
    pub fn verify(self, message: &[u8]) -> Result<(), ServerFault> {
        let text = std::str::from_utf8(message).map_err(|_| ServerFault::Malformed)?;
        let text = text.strip_prefix("v=").ok_or(ServerFault::Proof)?;
        let text = text.split(',').next().unwrap_or_default();
        let said = Base64::decode_vec(text).map_err(|_| ServerFault::Malformed)?;
        constant_time::verify_slices_are_equal(&said, &self.0).map_err(|_| ServerFault::Proof)
    }
}

#[cfg(test)]
mod tests {
    use super::Client;

    /// RFC 7677 section 3.
    #[test]
    fn the_exchange_of_the_rfc() {
        let (client, first) = Client::begin_with("user", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (proof, answer) = client.answer(challenge.as_bytes(), b"pencil").unwrap();
        let wanted = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(answer).unwrap(), wanted);
        proof.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
    }
}
