//! What a client brings to prove who it is.
//!
//! Invariant: what proves it has no text form, and its memory is overwritten when it is dropped.
//! What a guest gets of it is a copy, in the memory of a sandbox that is thrown away.

use std::fmt;

use zeroize::Zeroize as _;

/// What a client says to prove who it is.
#[derive(Clone)]
pub enum Credentials {
    /// SASL PLAIN (RFC 4616), and LOGIN.
    Plain {
        /// Whom it wants to act for; empty: itself.
        authorization: String,
        /// Who it says it is.
        authentication: String,
        /// What only that one knows.
        password: String,
    },
    /// SASL OAUTHBEARER (RFC 7628).
    Bearer {
        /// Whom it wants to act for; empty: the token says.
        authorization: String,
        /// What was issued to it.
        token: String,
    },
}

impl fmt::Debug for Credentials {
    /// The mechanism alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain { .. } => "Plain { .. }",
            Self::Bearer { .. } => "Bearer { .. }",
        })
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        match self {
            Self::Plain { password, .. } => password.zeroize(),
            Self::Bearer { token, .. } => token.zeroize(),
        }
    }
}

impl Credentials {
    /// The longest of its parts, in bytes.
    pub(crate) fn longest(&self) -> usize {
        match self {
            Self::Plain { authorization, authentication, password } => {
                authorization.len().max(authentication.len()).max(password.len())
            }
            Self::Bearer { authorization, token } => authorization.len().max(token.len()),
        }
    }
}
