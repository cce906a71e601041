//! Made-up facts for the tests.

use std::cell::RefCell;

use facteur_plugin::lookup::{self, Found};
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

    /// The same for this recipient.
    pub fn recipient(local: &str, domain: &str, class: RecipientClass) -> Self {
        Self { recipient: Address::new(local, domain), class, ..Self::default() }
    }
}

impl Facts for World {
    fn client_address(&self) -> String {
        "203.0.113.25".into()
    }
    fn client_name(&self) -> Option<String> {
        self.name.map(Into::into)
    }
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
    fn find(&self, table: &str, keys: &[String]) -> Result<Option<Found>, lookup::Error> {
        if table != "t" {
            return Err(lookup::Error::Unavailable("it is broken".into()));
        }
        let mut hits = keys.iter().enumerate().filter_map(|(number, key)| {
            let (_, value) = self.table.iter().find(|(known, _)| known == key)?;
            Some(Found { key: u32::try_from(number).unwrap(), value: (*value).to_owned() })
        });
        Ok(hits.next())
    }
    fn user_of(&self, local: &str) -> Option<String> {
        local.split_once('+').map(|(user, _)| user.to_owned())
    }
    fn addresses(&self, _: &str) -> Result<Vec<String>, dns::Error> {
        self.addresses.clone()
    }
    fn mail_exchangers(&self, _: &str) -> Result<Vec<dns::MailExchanger>, dns::Error> {
        self.mx.clone()
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
    fn info(&self, text: &str) {
        self.did(format!("info {text}"));
    }
    fn warn(&self, text: &str) {
        self.did(format!("warn {text}"));
    }
}
