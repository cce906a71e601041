//! What a client said in a session, and what it heard.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::content::Part;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialogue {
    /// Its name.
    pub session: String,
    /// When it began, in milliseconds since 1970.
    pub time: u64,
    /// The listener that the client came to, as the configuration writes it.
    pub listener: String,
    /// The client.
    pub client: SocketAddr,
    /// Who it proved to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// What was said, in order.
    pub said: Vec<Said>,
}

/// Something that policy is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The client's part.
    #[serde(flatten)]
    pub what: What,
    /// What was decided; none: it hasn't been played yet, or policy isn't asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// The client's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "said")]
pub enum What {
    /// It is there.
    Connect,
    /// HELO or EHLO.
    Hello {
        /// Its argument.
        name: String,
        /// EHLO.
        esmtp: bool,
    },
    /// MAIL.
    Mail {
        /// The sender with its route, without brackets; none is the null sender.
        sender: Option<String>,
        /// The size that it declares, in bytes.
        size: Option<u64>,
        /// SMTPUTF8.
        utf8: bool,
    },
    /// RCPT.
    Rcpt {
        /// The recipient with its route, without brackets.
        to: String,
    },
    /// DATA.
    Data,
    /// The content, to its end.
    Message(Part),
    /// RSET, or anything else that ends the envelope.
    Reset,
}

impl What {
    /// For a person, in a line.
    pub fn shown(&self) -> String {
        match self {
            Self::Connect => "connect".into(),
            Self::Hello { name, esmtp } => {
                format!("{} {name}", if *esmtp { "EHLO" } else { "HELO" })
            }
            Self::Mail { sender, .. } => format!("MAIL FROM:<{}>", sender.as_deref().unwrap_or("")),
            Self::Rcpt { to } => format!("RCPT TO:<{to}>"),
            Self::Data => "DATA".into(),
            Self::Message(part) => format!("a message of {} bytes", part.size),
            Self::Reset => "RSET".into(),
        }
    }
}

impl From<What> for Said {
    fn from(what: What) -> Self {
        Self { what, verdict: None }
    }
}
