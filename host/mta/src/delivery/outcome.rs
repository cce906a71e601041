//! What an attempt said of one recipient.

use std::fmt;
use std::sync::Arc;

use facteur_smtp::Reply;
use facteur_spool::End;

/// A server that said something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `host[address]:port`.
    pub peer: String,
    /// By what TLS it said so; none: in the clear.
    pub tls: Option<Arc<str>>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer)?;
        self.tls.as_ref().map_or(Ok(()), |tls| write!(f, ", {tls}"))
    }
}

/// What became of one recipient. `remote` is the server that said so; none: the words are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is out of our hands.
    Delivered {
        /// What the next hop said.
        reply: Reply,
        /// Who said so.
        remote: Option<Remote>,
        /// What we owe the sender a notice of, where NOTIFY=SUCCESS asks for one (RFC 3461 section
        /// 5.2). None: the next hop owes it, which took that over, or nobody does.
        owed: Option<End>,
    },
    /// To be tried again.
    Deferred {
        /// Why.
        reply: Reply,
        /// Who said so.
        remote: Option<Remote>,
    },
    /// Never to be tried again.
    Failed {
        /// Why.
        reply: Reply,
        /// Who said so.
        remote: Option<Remote>,
    },
}

impl Outcome {
    /// Deferred or failed, as the reply says.
    pub(crate) fn refused(reply: Reply, remote: Option<Remote>) -> Self {
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
}
