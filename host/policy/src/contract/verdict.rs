//! What a plugin decides, checked.
//!
//! The code must fit the verdict, the text must be printable and short. An answer that doesn't pass
//! counts as a trap ([`Broken`]), and `on-error` decides.

use std::borrow::Cow;

use facteur_smtp::Reply;

use super::bindings::facteur::policy::types;
use super::checks::{Broken, check_reply};
use crate::trace::Told;

/// A checked verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Dunno,
    Accept,
    AllowRelay,
    /// 5yz or 4yz.
    Refuse(Reply),
    DeferIfPermit(Reply),
    DeferIfReject(Reply),
    Discard,
    /// 421 or 521.
    Drop(Reply),
}

impl Verdict {
    pub(crate) fn check(raw: types::Verdict) -> Result<Self, Broken> {
        Ok(match raw {
            types::Verdict::Dunno => Self::Dunno,
            types::Verdict::Accept => Self::Accept,
            types::Verdict::AllowRelay => Self::AllowRelay,
            types::Verdict::Reject(reply) => Self::Refuse(check_reply(reply, 500..=599)?),
            types::Verdict::Defer(reply) => Self::Refuse(check_reply(reply, 400..=499)?),
            types::Verdict::DeferIfPermit(reply) => {
                Self::DeferIfPermit(check_reply(reply, 400..=499)?)
            }
            types::Verdict::DeferIfReject(reply) => {
                Self::DeferIfReject(check_reply(reply, 400..=499)?)
            }
            types::Verdict::Discard => Self::Discard,
            types::Verdict::Drop(reply) if matches!(reply.code, 421 | 521) => {
                Self::Drop(check_reply(reply, 400..=599)?)
            }
            types::Verdict::Drop(reply) => {
                return Err(Broken(format!("drop with code {}", reply.code)));
            }
        })
    }

    /// The word for the log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Dunno => "dunno",
            Self::Accept => "accept",
            Self::AllowRelay => "allow-relay",
            Self::Refuse(reply) if reply.is_transient() => "defer",
            Self::Refuse(_) => "reject",
            Self::DeferIfPermit(_) => "defer-if-permit",
            Self::DeferIfReject(_) => "defer-if-reject",
            Self::Discard => "discard",
            Self::Drop(_) => "drop",
        }
    }
}

impl Told for Verdict {
    fn told(&self) -> Cow<'static, str> {
        match self {
            Self::Dunno | Self::Accept | Self::AllowRelay | Self::Discard => self.word().into(),
            Self::Refuse(reply)
            | Self::DeferIfPermit(reply)
            | Self::DeferIfReject(reply)
            | Self::Drop(reply) => format!("{} {reply}", self.word()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, status: Option<&str>, text: &str) -> types::Reply {
        types::Reply { code, status: status.map(Into::into), text: text.into() }
    }

    #[test]
    fn codes_must_fit_the_verdict() {
        assert!(Verdict::check(types::Verdict::Reject(reply(550, Some("5.1.1"), "no"))).is_ok());
        for broken in [
            types::Verdict::Reject(reply(250, None, "yes")),
            types::Verdict::Reject(reply(450, None, "later")),
            types::Verdict::Defer(reply(550, None, "no")),
            types::Verdict::Drop(reply(550, None, "no")),
            types::Verdict::Reject(reply(550, Some("4.1.1"), "no")),
            types::Verdict::Reject(reply(550, Some("x"), "no")),
            types::Verdict::Reject(reply(550, None, "a\r\n250 ok")),
            types::Verdict::Reject(reply(550, None, &"x".repeat(513))),
        ] {
            assert!(Verdict::check(broken.clone()).is_err(), "{broken:?}");
        }
    }
}
