//! The envelope, and the recipient that is asked about.

use std::collections::HashMap;

use super::{Host, ask, did, parsed};
use crate::{Failure, MailAddress, RecipientClass};

/// What is known of the envelope.
#[derive(Clone)]
pub(super) struct Envelope {
    exists: bool,
    pub(super) sender: Option<MailAddress>,
    sender_class: RecipientClass,
    sender_listed: Result<bool, Failure>,
    declared_size: Option<u64>,
    utf8: bool,
    pub(super) accepted: Vec<To>,
    pub(super) asked: To,
    original: Option<MailAddress>,
    tags: HashMap<String, String>,
}

/// A recipient.
#[derive(Clone)]
pub(super) struct To {
    pub(super) address: MailAddress,
    pub(super) class: RecipientClass,
    routed: bool,
    listed: Result<bool, Failure>,
}

impl To {
    fn new(address: &str, class: RecipientClass) -> Self {
        Self { address: parsed(address), class, routed: false, listed: Ok(true) }
    }
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            exists: true,
            sender: Some(parsed("sender@example.com")),
            sender_class: RecipientClass::Other,
            sender_listed: Ok(true),
            declared_size: None,
            utf8: false,
            accepted: Vec::new(),
            asked: To::new("recipient@example.org", RecipientClass::Local),
            original: None,
            tags: HashMap::new(),
        }
    }
}

impl Host {
    /// There is no envelope yet, as in `on_connect` and `on_helo` with `early`.
    #[must_use]
    pub fn without_transaction(self) -> Self {
        self.with(|state| state.envelope.exists = false)
    }

    /// The sender, `local@domain`; nothing is the null sender.
    #[must_use]
    pub fn sender(self, address: &str) -> Self {
        let sender = (!address.is_empty()).then(|| parsed(address));
        self.with(|state| state.envelope.sender = sender)
    }

    /// The class of the sender; else it is `Other`.
    #[must_use]
    pub fn sender_class(self, class: RecipientClass) -> Self {
        self.with(|state| state.envelope.sender_class = class)
    }

    /// Whether somebody vouches for the sender.
    #[must_use]
    pub fn sender_listed(self, listed: Result<bool, Failure>) -> Self {
        self.with(|state| state.envelope.sender_listed = listed)
    }

    /// The SIZE that the client declared.
    #[must_use]
    pub fn declared_size(self, bytes: u64) -> Self {
        self.with(|state| state.envelope.declared_size = Some(bytes))
    }

    /// The client declared SMTPUTF8.
    #[must_use]
    pub fn utf8(self) -> Self {
        self.with(|state| state.envelope.utf8 = true)
    }

    /// One more recipient that was accepted. Somebody vouches for it.
    #[must_use]
    pub fn accepted(self, address: &str, class: RecipientClass) -> Self {
        self.with(|state| state.envelope.accepted.push(To::new(address, class)))
    }

    /// The recipient that is asked about. Somebody vouches for it.
    #[must_use]
    pub fn recipient(self, address: &str, class: RecipientClass) -> Self {
        self.with(|state| state.envelope.asked = To::new(address, class))
    }

    /// As the client gave it, where the recipient that is asked about comes from an alias.
    #[must_use]
    pub fn original(self, address: &str) -> Self {
        self.with(|state| state.envelope.original = Some(parsed(address)))
    }

    /// The recipient that is asked about tries to route by itself.
    #[must_use]
    pub fn routed(self) -> Self {
        self.with(|state| state.envelope.asked.routed = true)
    }

    /// Whether somebody vouches for the recipient that is asked about.
    #[must_use]
    pub fn listed(self, listed: Result<bool, Failure>) -> Self {
        self.with(|state| state.envelope.asked.listed = listed)
    }
}

/// # Panics
/// There is none: on WebAssembly this is a trap.
fn envelope<T>(question: impl FnOnce(&mut Envelope) -> T) -> T {
    ask(|state| {
        assert!(state.envelope.exists, "there is no transaction: ask transaction::exists() first");
        question(&mut state.envelope)
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the contract's functions may fail")]
pub mod transaction {
    use super::super::content::put;
    use super::{To, ask, did, envelope};
    use crate::{Error, Failure, MailAddress, RecipientClass};

    pub fn exists() -> bool {
        ask(|state| state.envelope.exists)
    }

    pub fn sender() -> Option<MailAddress> {
        envelope(|envelope| envelope.sender.clone())
    }

    pub fn sender_class() -> Option<RecipientClass> {
        envelope(|envelope| envelope.sender.as_ref().map(|_| envelope.sender_class))
    }

    pub fn sender_listed() -> Result<bool, Failure> {
        envelope(|envelope| envelope.sender_listed.clone())
    }

    pub fn declared_size() -> Option<u64> {
        envelope(|envelope| envelope.declared_size)
    }

    pub fn utf8() -> bool {
        envelope(|envelope| envelope.utf8)
    }

    pub fn recipient_count() -> u32 {
        u32::try_from(recipients().len()).unwrap_or(u32::MAX)
    }

    pub fn recipients() -> Vec<MailAddress> {
        envelope(|envelope| envelope.accepted.iter().map(|to| to.address.clone()).collect())
    }

    fn accepted<T>(number: u32, question: impl FnOnce(&To) -> T) -> Option<T> {
        envelope(|envelope| envelope.accepted.get(number as usize).map(question))
    }

    pub fn class_of(number: u32) -> Option<RecipientClass> {
        accepted(number, |to| to.class)
    }

    pub fn routed(number: u32) -> Option<bool> {
        accepted(number, |to| to.routed)
    }

    pub fn listed(number: u32) -> Result<Option<bool>, Failure> {
        accepted(number, |to| to.listed.clone()).transpose()
    }

    pub fn tag(key: &str) -> Option<String> {
        envelope(|envelope| envelope.tags.get(key).cloned())
    }

    pub fn set_tag(key: &str, value: &str) -> Result<(), Error> {
        did(format!("tag {key}={value}"));
        envelope(|envelope| _ = envelope.tags.insert(key.to_owned(), value.to_owned()));
        Ok(())
    }

    pub fn hold(reason: &str) {
        envelope(|_| ());
        did(format!("hold {reason}"));
    }

    pub fn redirect(to: &MailAddress) -> Result<(), Error> {
        envelope(|_| ());
        did(format!("redirect {to}"));
        Ok(())
    }

    pub fn bcc(to: &MailAddress) -> Result<(), Error> {
        envelope(|_| ());
        did(format!("bcc {to}"));
        Ok(())
    }

    pub fn prepend_header(name: &str, value: &str) -> Result<(), Error> {
        envelope(|_| ());
        put("prepend-header", name, value);
        Ok(())
    }

    pub fn delay(milliseconds: u64) {
        envelope(|_| ());
        did(format!("delay {milliseconds}"));
    }
}

pub mod recipient {
    use super::ask;
    use crate::{Failure, MailAddress, RecipientClass};

    pub fn address() -> MailAddress {
        ask(|state| state.envelope.asked.address.clone())
    }

    pub fn original() -> MailAddress {
        ask(|state| state.envelope.original.clone()).unwrap_or_else(address)
    }

    pub fn address_class() -> RecipientClass {
        ask(|state| state.envelope.asked.class)
    }

    pub fn routed() -> bool {
        ask(|state| state.envelope.asked.routed)
    }

    pub fn listed() -> Result<bool, Failure> {
        ask(|state| state.envelope.asked.listed.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Host;
    use crate::{MailAddress, RecipientClass, recipient, transaction};

    #[test]
    fn an_envelope_is_seen_and_acted_on() {
        let host = Host::new()
            .sender("")
            .recipient("x@y.org", RecipientClass::Relay)
            .accepted("a@b.org", RecipientClass::Local);
        host.run(|| {
            assert_eq!(transaction::sender(), None);
            assert_eq!(recipient::original(), MailAddress::new("x", "y.org"));
            assert_eq!(transaction::recipients(), [MailAddress::new("a", "b.org")]);
            assert_eq!(transaction::class_of(0), Some(RecipientClass::Local));
            assert_eq!(transaction::listed(1), Ok(None));
            transaction::hold("look at it");
            transaction::prepend_header("X-A", "b").unwrap();
        });
        assert_eq!(host.did(), ["hold look at it", "prepend-header X-A: b"]);
    }

    #[test]
    #[should_panic(expected = "transaction::exists()")]
    fn without_a_transaction_there_is_no_sender() {
        Host::new().without_transaction().run(transaction::sender);
    }
}
