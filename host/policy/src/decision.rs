//! What policy comes to at each step of a session.

use std::borrow::Cow;
use std::fmt;

use facteur_smtp::Reply;

use crate::trace::Told;

/// What the client is to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The host's usual yes.
    Accept,
    /// This 4yz or 5yz.
    Refuse(Reply),
    /// This, and the connection ends.
    Drop(Reply),
}

impl Told for Decision {
    fn told(&self) -> Cow<'static, str> {
        match self {
            Self::Accept => "accepted".into(),
            refused => refused.to_string().into(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accepted"),
            Self::Refuse(reply) => write!(f, "refused: {reply}"),
            Self::Drop(reply) => write!(f, "sent away: {reply}"),
        }
    }
}
