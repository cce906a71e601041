//! Made-up facts for the tests.

use std::cell::RefCell;

use facteur_plugin::access::Client;
use facteur_plugin::testing::Host;
use facteur_plugin::{Address, RecipientClass, dns};

use crate::facts::Facts;

/// A stranger who sends from a@b.org to x@elsewhere.org, until a test says otherwise.
#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
pub struct World {
    pub name: Option<&'static str>,
    pub trusted: bool,
    pub login: bool,
    pub helo: Option<&'static str>,
    pub sender: Option<Address>,
    pub sender_class: RecipientClass,
    pub recipient: Address,
    pub class: RecipientClass,
    pub routed: bool,
    pub listed: Result<bool, String>,
    pub accepted: usize,
    pub transaction: bool,
    /// Key and value of the only table, "t".
    pub table: Vec<(&'static str, &'static str)>,
    pub addresses: Result<Vec<String>, dns::Error>,
    pub mx: Result<Vec<dns::MailExchanger>, dns::Error>,
    /// What was logged, then what was done to the message.
    pub done: RefCell<Vec<String>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            name: Some("client.example.net"),
            trusted: false,
            login: false,
            helo: Some("helo.example.net"),
            sender: Some(Address::new("a", "b.org")),
            sender_class: RecipientClass::Other,
            recipient: Address::new("x", "elsewhere.org"),
            class: RecipientClass::Other,
            routed: false,
            listed: Ok(true),
            accepted: 0,
            transaction: true,
            table: Vec::new(),
            addresses: Err(dns::Error::NoSuchName),
            mx: Err(dns::Error::NoSuchName),
            done: RefCell::default(),
        }
    }
}

impl World {
    fn did(&self, what: String) {
        self.done.borrow_mut().push(what);
    }

    /// Asks where the world's table and DNS answer.
    pub fn run<T>(&self, question: impl FnOnce() -> T) -> T {
        let host = Host::new()
            .delimiter('+')
            .table("t", &self.table)
            .broken_table("down")
            .addresses("*", self.addresses.clone())
            .mail_exchangers("*", self.mx.clone());
        let answer = host.run(question);
        self.done.borrow_mut().splice(0..0, host.log());
        answer
    }

    /// The same for this recipient.
    pub fn recipient(local: &str, domain: &str, class: RecipientClass) -> Self {
        Self { recipient: Address::new(local, domain), class, ..Self::default() }
    }
}

impl Client for World {
    fn client_name(&self) -> Option<String> {
        self.name.map(Into::into)
    }
    fn client_address(&self) -> String {
        "203.0.113.25".into()
    }
}

impl Facts for World {
    fn reverse_name(&self) -> Option<String> {
        self.name.map(Into::into)
    }
    fn trusted(&self) -> bool {
        self.trusted
    }
    fn logged_in(&self) -> bool {
        self.login
    }
    fn helo(&self) -> Option<String> {
        self.helo.map(Into::into)
    }
    fn utf8(&self) -> bool {
        false
    }
    fn in_transaction(&self) -> bool {
        self.transaction
    }
    fn sender(&self) -> Option<Address> {
        self.sender.clone()
    }
    fn sender_class(&self) -> Option<RecipientClass> {
        self.sender.as_ref().map(|_| self.sender_class)
    }
    fn recipient(&self) -> Option<Address> {
        Some(self.recipient.clone())
    }
    fn class(&self) -> RecipientClass {
        self.class
    }
    fn routed(&self) -> bool {
        self.routed
    }
    fn listed(&self) -> Result<bool, String> {
        self.listed.clone()
    }
    fn accepted(&self) -> usize {
        self.accepted
    }
    fn hold(&self, reason: &str) {
        self.did(format!("hold {reason}"));
    }
    fn redirect(&self, to: Address) {
        self.did(format!("redirect {to}"));
    }
    fn bcc(&self, to: Address) {
        self.did(format!("bcc {to}"));
    }
    fn prepend(&self, name: &str, value: &str) {
        self.did(format!("prepend {name}={value}"));
    }
}
