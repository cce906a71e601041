//! What a sender is told of one recipient.

use facteur_smtp::{Notify, Reply, status};
use facteur_spool::{End, Recipient, RecipientState, Timestamp};

/// What became of a recipient (RFC 3464 section 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not yet delivered; it is still tried, until then.
    #[allow(
        dead_code,
        reason = "the queue tells of no delay yet; what is written of one is tested"
    )]
    Delayed {
        /// When it will be given up.
        until: Timestamp,
    },
    /// In the mailbox.
    Delivered,
    /// Given to a server that doesn't send notices.
    Relayed,
    /// Given to the members of a list, who are not spoken of.
    Expanded,
}

impl Action {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed { .. } => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }

    /// Whether the sender wants to hear of this (RFC 3461 section 4.1): of failure and delay if
    /// nothing was said.
    pub fn is_wanted(self, notify: Option<Notify>) -> bool {
        let notify = notify.unwrap_or(Notify { success: false, failure: true, delay: true });
        match self {
            Self::Failed => notify.failure,
            Self::Delayed { .. } => notify.delay,
            Self::Delivered | Self::Relayed | Self::Expanded => notify.success,
        }
    }
}

impl From<End> for Action {
    fn from(end: End) -> Self {
        match end {
            End::Failed => Self::Failed,
            End::Delivered => Self::Delivered,
            End::Relayed => Self::Relayed,
            End::Expanded => Self::Expanded,
        }
    }
}

/// What is told of one recipient.
#[derive(Clone, Debug)]
pub struct Report {
    /// Who.
    pub recipient: Recipient,
    /// What became of it.
    pub action: Action,
    /// In whose words.
    pub reply: Reply,
    /// Who said so, as `host[address]:port`; none: we did.
    pub remote: Option<String>,
}

impl Report {
    /// Of a recipient that has ended; none of any other.
    pub fn of(recipient: Recipient) -> Option<Self> {
        let RecipientState::Ended(end) = recipient.state else { return None };
        let reply =
            recipient.last_reply.clone().unwrap_or_else(|| Reply::new(250, status::UNDEFINED, ""));
        let remote = recipient.remote.clone();
        Some(Self { recipient, action: end.into(), reply, remote })
    }
}
