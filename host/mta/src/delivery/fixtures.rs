//! What the tests of delivery and of notices are made of: messages, names that resolve as they are
//! told, settings.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use facteur_policy::{Dns, DnsError, MailExchanger};
use facteur_smtp::Address;
use facteur_spool::{
    Body, Message, MessageHead, MessageId, QueueId, Recipient, RecipientHead, RecipientId,
    RecipientState, Timestamp,
};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::{DeliveryTls, Logins, Room, Settings};
use crate::config::{Config, TableSource};
use crate::tables::{Mailboxes, Tables};
use crate::tls::ClientTls;

/// 13 November 2026, 14:00:00 UTC.
pub const NOW: Timestamp = Timestamp(1_794_578_400_000);

pub fn address(text: &str) -> Address {
    text.parse().unwrap()
}

pub fn message(sender: &str, content: impl Into<Bytes>) -> Message {
    let header = Bytes::from_static(b"Received: from x\r\n\tby y; z\r\n");
    let body = Body::Memory(content.into());
    let queue_id = QueueId::new(0x6F_EE36_C37B).unwrap();
    Message {
        size: header.len() as u64 + body.size(),
        head: MessageHead {
            sender: (!sender.is_empty()).then(|| address(sender)),
            header,
            ..MessageHead::new(MessageId::from_bytes([7; 16]), queue_id, NOW)
        },
        body,
        reason: None,
        recipients: Vec::new(),
    }
}

pub fn recipient(text: &str) -> Recipient {
    Recipient {
        id: RecipientId::default(),
        head: RecipientHead::new(address(text), "other"),
        state: RecipientState::Queued,
        next_try: NOW,
        attempts: 0,
        last_reply: None,
        remote: None,
    }
}

/// A DNS of one's own. What isn't in it doesn't exist.
#[derive(Default)]
pub struct Told {
    mx: HashMap<String, Result<Vec<MailExchanger>, DnsError>>,
    addresses: HashMap<String, Result<Vec<IpAddr>, DnsError>>,
}

impl Told {
    pub fn mx(mut self, name: &str, exchangers: &[(u16, &str)]) -> Self {
        let exchanger =
            |&(preference, host): &(u16, &str)| MailExchanger { preference, host: host.into() };
        self.mx.insert(name.into(), Ok(exchangers.iter().map(exchanger).collect()));
        self
    }

    pub fn no_mx(mut self, name: &str, error: DnsError) -> Self {
        self.mx.insert(name.into(), Err(error));
        self
    }

    pub fn at(mut self, name: &str, addresses: &[&str]) -> Self {
        self.addresses
            .insert(name.into(), Ok(addresses.iter().map(|text| text.parse().unwrap()).collect()));
        self
    }

    pub fn not_at(mut self, name: &str, error: DnsError) -> Self {
        self.addresses.insert(name.into(), Err(error));
        self
    }
}

impl Dns for Told {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        ready(self.addresses.get(name).cloned().unwrap_or(Err(DnsError::NoSuchName))).boxed()
    }

    fn mail_exchangers<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MailExchanger>, DnsError>> {
        let absent =
            if self.addresses.contains_key(name) { DnsError::NoData } else { DnsError::NoSuchName };
        ready(self.mx.get(name).cloned().unwrap_or(Err(absent))).boxed()
    }
}

/// Room enough.
pub const ROOM: Room = Room { idle_connections: 100, mailboxes: 4 };

/// Settings with short times, these names, and a mailbox for "louen" and "lea" below `mail`.
pub fn settings(names: Told, listening: &[SocketAddr], mail: &Path) -> Settings {
    // Mail is never written as root, so that the tests have a user for it when root runs them.
    let owner = if rustix::process::geteuid().is_root() { "owner = \"nobody\"\n" } else { "" };
    let text = format!(
        "hostname = \"mx.here.example\"\n[[listen]]\naddress = \"127.0.0.1:25\"\n[mailboxes]\n\
         users = \"table:users\"\n\
         path = \"{}/{{user}}/\"\n{owner}[tables.users]\ninline = {{ louen = \"\", lea = \"\" }}\n",
        mail.display()
    );
    let config = Config::parse(Path::new("/etc/facteur.toml"), &text).unwrap();
    let (tables, errors) = Tables::open(&config.tables as &BTreeMap<String, TableSource>, None);
    assert!(errors.is_empty());
    let mut smtp = config.smtp.clone();
    let times = &mut smtp.timeouts;
    for time in [
        &mut times.connect,
        &mut times.helo,
        &mut times.starttls,
        &mut times.mail,
        &mut times.rcpt,
        &mut times.data_init,
        &mut times.data,
        &mut times.data_done,
    ] {
        *time = Duration::from_secs(20);
    }
    let (client, _) = ClientTls::open(&config.delivery.tls, None).unwrap();
    smtp.idle_connection = Duration::from_secs(20);
    Settings {
        hostname: config.hostname.clone(),
        listening: listening.to_vec(),
        smtp,
        tls: DeliveryTls::new(client, config.delivery.tls.policy.clone(), None, &tables),
        logins: Logins::default(),
        logins_in_the_clear: false,
        plain_after: Duration::from_secs(300),
        mailboxes: Arc::new(Mailboxes::new(&config.mailboxes, config.domains.clone(), tables)),
        names: Arc::new(names),
        lookups: Duration::from_secs(20),
    }
}
