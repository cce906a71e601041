//! AUTH (RFC 4954): what the command and the lines after it say.
//!
//! Invariants: what a client says to prove who it is has no text form here, and its memory is
//! overwritten when it is dropped. What it says is the mechanisms' to judge, which aren't here.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use crate::reply::Reply;
use crate::status;

/// Octets of a line that answers a challenge, without its end (RFC 4954 section 4; Postfix's
/// `smtpd_sasl_response_limit`).
pub const MAX_AUTH_RESPONSE: usize = 12_288;
/// Octets of AUTH with an initial response. RFC 4954 has clients send one that makes the command
/// too long on a line of its own; mail programs with bearer tokens don't.
const MAX_COMMAND: usize = MAX_AUTH_RESPONSE + 64;
/// What such a line begins with.
const COMMAND: &[u8] = b"AUTH ";

/// Whether and how clients may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthOffer {
    /// Not here.
    #[default]
    No,
    /// Under TLS only, and the session isn't (yet).
    UnderTls,
    /// It can't be told now how.
    Later,
    /// By one of these mechanisms, at least one, in upper case.
    Mechanisms(Vec<String>),
}

/// What a client says to prove who it is, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }
}

impl fmt::Debug for Secret {
    /// Not what it is.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// Whether the line that this begins is AUTH with arguments.
pub(crate) fn begins(input: &[u8]) -> bool {
    let input = input.trim_ascii_start();
    input.get(..COMMAND.len()).is_some_and(|it| it.eq_ignore_ascii_case(COMMAND))
}

/// How long the command line may be that this begins; `limit` is that of others.
pub(crate) fn line_limit(input: &[u8], limit: usize) -> usize {
    if begins(input) { limit.max(MAX_COMMAND) } else { limit }
}

/// The arguments of AUTH: the mechanism in upper case, and what it begins with, if anything.
pub(crate) fn command(arguments: &str) -> Result<(String, Option<Secret>), Reply> {
    let mut words = arguments.split_ascii_whitespace();
    let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
        return Err(Reply::new(501, status::INVALID_ARGUMENTS, "Syntax: AUTH mechanism"));
    };
    let initial = match initial {
        None => None,
        // The one way to write that it begins with nothing, rather than not at all.
        Some("=") => Some(Secret::from(Vec::new())),
        Some(text) => Some(response(text.as_bytes()).ok_or_else(not_base64)?),
    };
    Ok((mechanism.to_ascii_uppercase(), initial))
}

/// The answer to a challenge; None: it is no base64.
pub(crate) fn response(line: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(line).ok()?.trim_ascii();
    Base64::decode_vec(text).ok().map(Secret::from)
}

pub(crate) fn not_base64() -> Reply {
    Reply::new(501, status::SYNTAX, "Error: no valid base64")
}

/// What a challenge of a server says; None: it is no base64.
pub(crate) fn challenged(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text.trim_ascii()).ok()
}

/// What a client answers, as it is written.
pub(crate) fn written(answer: &Secret) -> Zeroizing<String> {
    Zeroizing::new(Base64::encode_string(answer.as_bytes()))
}

/// A challenge as it is written: base64 has no line ends in it.
pub(crate) fn challenge(octets: &[u8]) -> String {
    format!("334 {}\r\n", Base64::encode_string(octets))
}

#[cfg(test)]
mod tests {
    use super::{Secret, command, response};

    #[test]
    fn an_initial_response_is_there_or_not_or_empty() {
        let given =
            |text: &str| command(text).map(|(name, initial)| (name, initial.as_ref().map(text_of)));
        assert_eq!(given("plain"), Ok(("PLAIN".to_owned(), None)));
        assert_eq!(given("external ="), Ok(("EXTERNAL".to_owned(), Some(String::new()))));
        assert_eq!(given("X aGk="), Ok(("X".to_owned(), Some("hi".to_owned()))));
        for (wrong, reply) in [
            ("", "501 5.5.4 Syntax: AUTH mechanism"),
            ("PLAIN a b", "501 5.5.4 Syntax: AUTH mechanism"),
            ("PLAIN aGk", "501 5.5.2 Error: no valid base64"),
            ("PLAIN aG!=", "501 5.5.2 Error: no valid base64"),
        ] {
            assert_eq!(given(wrong).unwrap_err().to_string(), reply, "{wrong}");
        }
    }

    fn text_of(secret: &Secret) -> String {
        String::from_utf8(secret.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = response(b"c2VzYW1l").unwrap();
        assert_eq!(secret.as_bytes(), b"sesame");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
