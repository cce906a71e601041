//! What a question is about, beyond the place where it is asked: a question within a question has
//! its own.

use std::sync::Arc;

use facteur_smtp::{Address, Reply};

use crate::credentials::Credentials;
use crate::facts::RecipientFacts;

/// What a question is about. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) enum Subject {
    /// The place alone.
    #[default]
    Nothing,
    /// A recipient.
    Recipient(Arc<RecipientFacts>),
    /// What happened to a recipient.
    Attempt(Arc<RecipientFacts>, Arc<Attempt>),
    /// What a client brings.
    Credentials(Arc<Credentials>),
}

/// What happened to a recipient.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// From 1.
    pub number: u32,
    /// Who answered; none: the words are the host's.
    pub host: Option<String>,
    /// What was said.
    pub reply: Reply,
    /// In milliseconds since 1970.
    pub next_try: Option<u64>,
}

impl Subject {
    pub(crate) fn recipient(&self) -> Option<&Arc<RecipientFacts>> {
        match self {
            Self::Recipient(recipient) | Self::Attempt(recipient, _) => Some(recipient),
            Self::Nothing | Self::Credentials(_) => None,
        }
    }

    /// The address that it is about, if any.
    pub(crate) fn address(&self) -> Option<&Address> {
        self.recipient().map(|recipient| &recipient.address)
    }
}
