//! One record: something that was decided, by whom and why.

use facteur_policy::{SessionFacts, TraceStep};
use facteur_smtp::Address;
use facteur_spool::{QueueId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was said before an envelope.
    Session,
    /// One envelope.
    Envelope,
    /// One attempt to deliver to one recipient.
    Delivery,
}

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The session, as in its log lines; none in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The queue id of the message, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Address of the client, and of the listener that it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<(String, String)>,
    /// What HELO or EHLO said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// The envelope sender; empty is the null sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The recipient of a delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// What was asked and answered on the way.
    pub steps: Vec<TraceStep>,
    /// What came out: the last reply, or what became of the recipient.
    pub outcome: String,
}

impl Record {
    /// Of an attempt, or of the way to one.
    pub fn delivery(
        id: QueueId,
        recipient: &Address,
        steps: Vec<TraceStep>,
        outcome: String,
    ) -> Self {
        Self {
            kind: Kind::Delivery,
            time: Timestamp::now().0,
            session: None,
            id: Some(id.to_string()),
            client: None,
            helo: None,
            sender: None,
            recipient: Some(recipient.to_string()),
            steps,
            outcome,
        }
    }

    /// Of a session, before an envelope or with one.
    pub fn session(
        kind: Kind,
        session: &SessionFacts,
        steps: Vec<TraceStep>,
        outcome: String,
    ) -> Self {
        Self {
            kind,
            time: Timestamp::now().0,
            session: Some(session.id.clone()),
            id: None,
            client: Some((session.client_ip().to_string(), session.listener.clone())),
            helo: session.helo(),
            sender: None,
            recipient: None,
            steps,
            outcome,
        }
    }
}
