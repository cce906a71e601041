//! What an attempt said of one recipient.

use facteur_smtp::Reply;

/// What became of one recipient. `remote` is the server that said so, as `host[address]:port`;
/// none: the words are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is out of our hands.
    Delivered {
        /// What the next hop said.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
        /// Who tells the sender, if the sender asked to be told.
        duty: Duty,
    },
    /// To be tried again.
    Deferred {
        /// Why.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
    },
    /// Never to be tried again.
    Failed {
        /// Why.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
    },
}

/// Who owes the sender a notice of success, where NOTIFY=SUCCESS asks for one (RFC 3461 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// We do: it is in the mailbox ("delivered").
    Delivered,
    /// We do: the next hop doesn't know of notices ("relayed").
    Relayed,
    /// We do: its members have it ("expanded").
    Expanded,
    /// The next hop, which took it over.
    HandedOn,
    /// Nobody: it was discarded.
    None,
}

impl Outcome {
    /// Deferred or failed, as the reply says.
    pub(crate) fn refused(reply: Reply, remote: Option<String>) -> Self {
        if reply.is_permanent() {
            Self::Failed { reply, remote }
        } else {
            Self::Deferred { reply, remote }
        }
    }

    /// What was said.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Delivered { reply, .. }
            | Self::Deferred { reply, .. }
            | Self::Failed { reply, .. } => reply,
        }
    }

    /// Who said so.
    pub fn remote(&self) -> Option<&str> {
        match self {
            Self::Delivered { remote, .. }
            | Self::Deferred { remote, .. }
            | Self::Failed { remote, .. } => remote.as_deref(),
        }
    }
}
