//! A recipient in the queue.

use std::sync::Arc;

use facteur_smtp::{Address, MailParameters};

use super::envelope::{EnvelopeFacts, RecipientFacts};
use crate::domains::Domains;
use crate::tags::Tags;

/// A recipient as the queue knows it: there is no session any more.
#[derive(Debug, Clone, Copy)]
pub struct Consignment<'a> {
    /// The envelope sender; none is the null sender.
    pub sender: Option<&'a Address>,
    /// The notes that plugins left.
    pub tags: &'a Tags,
    /// Whether SMTPUTF8 is needed.
    pub utf8: bool,
    /// Where it goes.
    pub address: &'a Address,
    /// As accepted at RCPT.
    pub original: &'a Address,
}

impl Consignment<'_> {
    /// Its envelope, for plugins.
    pub(crate) fn envelope(&self, domains: &Domains) -> Arc<EnvelopeFacts> {
        let parameters = MailParameters { smtputf8: self.utf8, ..MailParameters::default() };
        let facts =
            EnvelopeFacts { parameters, ..EnvelopeFacts::new(domains, self.sender.cloned()) };
        facts.changing.lock().tags = self.tags.clone();
        Arc::new(facts)
    }

    /// The recipient, for plugins.
    pub(crate) fn recipient(&self, domains: &Domains) -> Arc<RecipientFacts> {
        let (address, original) = (self.address.clone(), self.original.clone());
        Arc::new(RecipientFacts::new(domains, address, original, false))
    }
}
