//! The recipient that a list is about.

use facteur_plugin::lookup::{self, Entry, Manner};
use facteur_plugin::{Error, Failure, MailAddress, RecipientClass, recipient, transaction};

/// One, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// There is none: before RCPT, and after it where there are several, since what is said then is
    /// about all of them alike.
    Nobody,
    /// The one that is asked about, at RCPT.
    Asked,
    /// The only one of the envelope, after RCPT.
    Only,
}

impl Subject {
    /// After RCPT.
    pub fn after_rcpt() -> Self {
        if transaction::recipient_count() == 1 { Self::Only } else { Self::Nobody }
    }

    pub fn address(self) -> Option<MailAddress> {
        match self {
            Self::Nobody => None,
            Self::Asked => Some(recipient::address()),
            Self::Only => transaction::recipients().pop(),
        }
    }

    pub fn class(self) -> RecipientClass {
        let class = match self {
            Self::Nobody => None,
            Self::Asked => Some(recipient::address_class()),
            Self::Only => transaction::class_of(0),
        };
        class.unwrap_or(RecipientClass::Other)
    }

    /// Whether it tries to route by itself.
    pub fn routed(self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Asked => recipient::routed(),
            Self::Only => transaction::routed(0).unwrap_or(false),
        }
    }

    /// Whether it exists, or why nobody can say now.
    pub fn listed(self) -> Result<bool, Failure> {
        match self {
            Self::Nobody => Ok(true),
            Self::Asked => recipient::listed(),
            Self::Only => transaction::listed(0).map(|listed| listed.unwrap_or(true)),
        }
    }

    /// What these tables have for it, by access(5).
    pub fn find(self, tables: &[String]) -> Result<Option<Entry>, Error> {
        match self {
            Self::Nobody => Ok(None),
            Self::Asked => lookup::find_recipient(tables, Manner::Access),
            Self::Only => lookup::find_accepted(0, tables, Manner::Access),
        }
    }
}
