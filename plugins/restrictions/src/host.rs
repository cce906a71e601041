//! The facts as the host has them.

use facteur_plugin::access::Client;
use facteur_plugin::{Address, Recipient, RecipientClass, Session, Transaction};

use crate::facts::Facts;

/// One question: who asks, about which envelope and which recipient.
pub struct Host<'a> {
    session: &'a Session,
    transaction: Option<&'a Transaction>,
    recipient: Option<&'a Recipient>,
}

impl<'a> Host<'a> {
    /// What the hook was given.
    pub fn new(
        session: &'a Session,
        transaction: Option<&'a Transaction>,
        recipient: Option<&'a Recipient>,
    ) -> Self {
        Self { session, transaction, recipient }
    }
}

/// The recipient, if there is just one: what is said after RCPT is about all of them alike.
pub fn only_recipient(t: &Transaction) -> Option<Recipient> {
    let mut all = t.recipients();
    if all.len() == 1 { all.pop() } else { None }
}

impl Client for Host<'_> {
    fn client_name(&self) -> Option<String> {
        Client::client_name(self.session)
    }

    fn client_address(&self) -> String {
        self.session.client_address()
    }
}

impl Facts for Host<'_> {
    fn reverse_name(&self) -> Option<String> {
        self.session.reverse_name().unwrap_or_default()
    }

    fn trusted(&self) -> bool {
        self.session.trusted()
    }

    fn logged_in(&self) -> bool {
        self.session.login().is_some()
    }

    fn helo(&self) -> Option<String> {
        self.session.helo()
    }

    fn utf8(&self) -> bool {
        self.transaction.is_some_and(Transaction::utf8)
    }

    fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    fn sender(&self) -> Option<Address> {
        self.transaction.and_then(Transaction::sender)
    }

    fn sender_class(&self) -> Option<RecipientClass> {
        self.transaction.and_then(Transaction::sender_class)
    }

    fn recipient(&self) -> Option<Address> {
        self.recipient.map(Recipient::address)
    }

    fn class(&self) -> RecipientClass {
        self.recipient.map_or(RecipientClass::Other, Recipient::address_class)
    }

    fn routed(&self) -> bool {
        self.recipient.is_some_and(Recipient::routed)
    }

    fn listed(&self) -> Result<bool, String> {
        self.recipient
            .map_or(Ok(true), |recipient| recipient.listed().map_err(|failure| failure.reason))
    }

    fn accepted(&self) -> usize {
        self.transaction.map_or(0, |t| t.recipients().len())
    }

    fn hold(&self, reason: &str) {
        if let Some(t) = self.transaction {
            t.hold(reason);
        }
    }

    fn redirect(&self, to: Address) {
        if let Some(t) = self.transaction {
            t.redirect(&to);
        }
    }

    fn bcc(&self, to: Address) {
        if let Some(t) = self.transaction {
            t.bcc(&to);
        }
    }

    fn prepend(&self, name: &str, value: &str) {
        if let Some(t) = self.transaction {
            t.prepend_header(name, value);
        }
    }
}
