//! What a plugin decides, checked.
//!
//! The code must fit the verdict. An answer that doesn't pass counts as a trap ([`Broken`]), and
//! `on-error` decides.

use std::borrow::Cow;

use facteur_smtp::Reply;

use super::bindings::facteur::policy::types;
use super::checks::{Broken, check_reply};
use crate::trace::Told;

/// A checked verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    NoOpinion,
    Accept,
    AllowRelay,
    /// 5yz or 4yz.
    Refuse(Reply),
    DeferIfPermit(Reply),
    DeferIfReject(Reply),
    Discard,
    /// 421 or 521.
    Disconnect(Reply),
}

impl Verdict {
    pub(crate) fn check(raw: types::Verdict) -> Result<Self, Broken> {
        Ok(match raw {
            types::Verdict::NoOpinion => Self::NoOpinion,
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
            types::Verdict::Disconnect(reply) => Self::Disconnect(farewell(reply)?),
        })
    }

    /// What a content plugin says: there is no yes among it.
    pub(crate) fn check_content(raw: types::ContentVerdict) -> Result<Self, Broken> {
        Self::check(match raw {
            types::ContentVerdict::NoOpinion => types::Verdict::NoOpinion,
            types::ContentVerdict::Reject(reply) => types::Verdict::Reject(reply),
            types::ContentVerdict::Defer(reply) => types::Verdict::Defer(reply),
            types::ContentVerdict::Discard => types::Verdict::Discard,
            types::ContentVerdict::Disconnect(reply) => types::Verdict::Disconnect(reply),
        })
    }

    /// The word for the log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NoOpinion => "no opinion",
            Self::Accept => "accept",
            Self::AllowRelay => "allow-relay",
            Self::Refuse(reply) if reply.is_transient() => "defer",
            Self::Refuse(_) => "reject",
            Self::DeferIfPermit(_) => "defer-if-permit",
            Self::DeferIfReject(_) => "defer-if-reject",
            Self::Discard => "discard",
            Self::Disconnect(_) => "disconnect",
        }
    }
}

/// The reply before a disconnection.
fn farewell(reply: types::Reply) -> Result<Reply, Broken> {
    match reply.code {
        421 | 521 => check_reply(reply, 400..=599),
        code => Err(Broken(format!("disconnect with reply code {code} (expected 421 or 521)"))),
    }
}

impl Told for Verdict {
    fn told(&self) -> Cow<'static, str> {
        match self {
            Self::NoOpinion | Self::Accept | Self::AllowRelay | Self::Discard => self.word().into(),
            Self::Refuse(reply)
            | Self::DeferIfPermit(reply)
            | Self::DeferIfReject(reply)
            | Self::Disconnect(reply) => format!("{} {reply}", self.word()).into(),
        }
    }

    fn refuses(&self) -> bool {
        !matches!(self, Self::NoOpinion | Self::Accept | Self::AllowRelay)
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
            types::Verdict::Disconnect(reply(550, None, "no")),
            types::Verdict::Reject(reply(550, Some("4.1.1"), "no")),
            types::Verdict::Reject(reply(550, Some("x"), "no")),
        ] {
            assert!(Verdict::check(broken.clone()).is_err(), "{broken:?}");
        }
    }
}
