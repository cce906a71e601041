//! What plugins can see: the facts of a session and of an envelope, and the actions they gather on
//! it.
//!
//! Facts are shared between the sandboxes of a transaction and guarded by short locks that are
//! never held across an await. Who writes: the host writes facts; plugins write tags and actions,
//! within limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use facteur_smtp::Address;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::domains::{Class, Domains, routes_by_itself};
use crate::services::{Dns, DnsError};
use crate::tags::Tags;

/// The facts of one connection.
pub struct SessionFacts {
    /// Stands in each log line of the session.
    pub id: String,
    /// The listener's address, as configured.
    pub listener: String,
    /// The client.
    pub client: SocketAddr,
    /// Whether it is in a trusted network.
    pub trusted: bool,
    /// Who it proved to be: said once.
    login: OnceLock<String>,
    pub(crate) hello: Mutex<Option<Hello>>,
    pub(crate) tags: Mutex<Tags>,
    reverse: OnceCell<Result<Reverse, DnsError>>,
}

/// What HELO or EHLO said.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub name: String,
    pub esmtp: bool,
}

/// The client's name, as far as the DNS says.
#[derive(Debug, Clone)]
pub(crate) struct Reverse {
    /// From the address.
    pub name: Option<String>,
    /// The same if the name leads back to the address; an error if that can't be told now.
    pub verified: Result<Option<String>, DnsError>,
}

/// How many reverse names are verified before giving up: each costs a lookup.
const REVERSE_NAMES: usize = 8;

impl SessionFacts {
    /// A connection that has said nothing yet.
    pub fn new(id: String, listener: String, client: SocketAddr, trusted: bool) -> Self {
        Self {
            id,
            listener,
            client,
            trusted,
            login: OnceLock::new(),
            hello: Mutex::default(),
            tags: Mutex::default(),
            reverse: OnceCell::new(),
        }
    }

    /// The same facts, for notes of one's own.
    pub(crate) fn apart(&self) -> Self {
        let Self { id, listener, client, trusted, login, hello, tags, reverse } = self;
        Self {
            id: id.clone(),
            listener: listener.clone(),
            client: *client,
            trusted: *trusted,
            login: login.clone(),
            hello: Mutex::new(hello.lock().clone()),
            tags: Mutex::new(tags.lock().clone()),
            reverse: reverse.clone(),
        }
    }

    /// Takes over what has become known since.
    pub(crate) fn catch_up(&self, real: &Self) {
        self.hello.lock().clone_from(&real.hello.lock());
        self.tags.lock().join(&real.tags.lock());
        if let Some(login) = real.login() {
            self.set_login(login.to_owned());
        }
    }

    /// Who it proved to be, if it did.
    pub fn login(&self) -> Option<&str> {
        self.login.get().map(String::as_str)
    }

    /// It proved to be this one. False: it was somebody before, and stays that.
    pub fn set_login(&self, login: String) -> bool {
        self.login.set(login).is_ok()
    }

    /// What HELO or EHLO said, if anything.
    pub fn helo(&self) -> Option<String> {
        self.hello.lock().as_ref().map(|hello| hello.name.clone())
    }

    /// Whether it was EHLO.
    pub fn esmtp(&self) -> bool {
        self.hello.lock().as_ref().is_some_and(|hello| hello.esmtp)
    }

    /// The client's address, IPv4 as such.
    pub fn client_ip(&self) -> IpAddr {
        self.client.ip().to_canonical()
    }

    /// The verified reverse name if it has been asked for and was found.
    pub fn known_name(&self) -> Option<&str> {
        self.reverse.get()?.as_ref().ok()?.verified.as_ref().ok()?.as_deref()
    }

    pub(crate) async fn reverse(&self, dns: &dyn Dns) -> Result<Reverse, DnsError> {
        let ask = || async {
            let address = self.client_ip();
            let names = match dns.names_of(address).await {
                Ok(names) => names,
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => return Ok(Reverse { name: None, verified: Ok(None) }),
            };
            let mut failure = None;
            for name in names.iter().take(REVERSE_NAMES) {
                match dns.addresses(name.as_str()).await {
                    Ok(found) if found.contains(&address) => {
                        return Ok(Reverse {
                            name: Some(name.clone()),
                            verified: Ok(Some(name.clone())),
                        });
                    }
                    Err(error) if error.is_transient() => failure = Some(error),
                    _ => {}
                }
            }
            Ok(Reverse { name: names.into_iter().next(), verified: failure.map_or(Ok(None), Err) })
        };
        self.reverse.get_or_init(ask).await.clone()
    }
}

/// The facts of one envelope.
pub(crate) struct EnvelopeFacts {
    pub sender: Option<Address>,
    pub sender_class: Option<Class>,
    pub declared_size: Option<u64>,
    pub utf8: bool,
    /// Whether actions make sense: not in the queue.
    pub acting: bool,
    pub changing: Mutex<Changing>,
}

/// What changes while the envelope is made.
#[derive(Default, Clone)]
pub(crate) struct Changing {
    /// Every address that was ever asked about; a recipient resource is an index into it.
    pub recipients: Vec<Arc<RecipientFacts>>,
    /// Which of them get the message: accepted at RCPT, or added by a content plugin.
    pub accepted: Vec<usize>,
    /// How many content plugins added.
    added: usize,
    /// Another sender, from a content plugin.
    pub sender: Option<(Option<Address>, Option<Class>)>,
    pub tags: Tags,
    pub actions: Actions,
}

impl Changing {
    /// Adds a recipient that no RCPT named; nothing if it is there already. False: there are
    /// `limit` of these already.
    pub(crate) fn add(&mut self, recipient: RecipientFacts, limit: usize) -> bool {
        if self.accepted.iter().any(|&number| self.recipients[number].address == recipient.address)
        {
            return true;
        }
        if self.added >= limit {
            return false;
        }
        self.added += 1;
        self.accepted.push(self.recipients.len());
        self.recipients.push(Arc::new(recipient));
        true
    }

    /// Takes an address out of those that get the message; whether it was among them.
    pub(crate) fn remove(&mut self, address: &Address) -> bool {
        let before = self.accepted.len();
        let recipients = &self.recipients;
        self.accepted.retain(|&number| recipients[number].address != *address);
        self.accepted.len() < before
    }
}

/// One address that is asked about.
#[derive(Debug)]
pub(crate) struct RecipientFacts {
    pub address: Address,
    pub original: Address,
    pub class: Class,
    pub routed: bool,
}

impl RecipientFacts {
    pub(crate) fn new(
        domains: &Domains,
        address: Address,
        original: Address,
        source_route: bool,
    ) -> Self {
        let class = domains.class_of(&address);
        let routed = source_route || routes_by_itself(&address);
        Self { address, original, class, routed }
    }
}

impl EnvelopeFacts {
    pub(crate) fn new(domains: &Domains, sender: Option<Address>, acting: bool) -> Self {
        let sender_class = sender.as_ref().map(|sender| domains.class_of(sender));
        Self {
            sender,
            sender_class,
            declared_size: None,
            utf8: false,
            acting,
            changing: Mutex::default(),
        }
    }

    /// The same facts, for notes and actions of one's own.
    pub(crate) fn apart(&self) -> Self {
        let Self { sender, sender_class, declared_size, utf8, acting, changing: _ } = self;
        Self {
            sender: sender.clone(),
            sender_class: *sender_class,
            declared_size: *declared_size,
            utf8: *utf8,
            acting: *acting,
            changing: Mutex::default(),
        }
    }

    /// Takes over what has become known since.
    pub(crate) fn catch_up(&self, real: &Self) {
        let (mut own, real) = (self.changing.lock(), real.changing.lock());
        own.recipients.clone_from(&real.recipients);
        own.accepted.clone_from(&real.accepted);
        own.added = real.added;
        own.sender.clone_from(&real.sender);
        own.tags.join(&real.tags);
    }

    /// Adds an address to ask about; the number is its resource's.
    pub(crate) fn add(&self, recipient: RecipientFacts) -> u32 {
        let mut changing = self.changing.lock();
        changing.recipients.push(Arc::new(recipient));
        u32::try_from(changing.recipients.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn recipient(&self, number: u32) -> Option<Arc<RecipientFacts>> {
        self.changing.lock().recipients.get(number as usize).cloned()
    }
}

/// What plugins want done with the message. All are for the whole message, and add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// Keep it in the queue until released: the first reason given.
    pub hold: Option<String>,
    /// The same, and not to be released along with others: the first reason given.
    pub quarantine: Option<String>,
    /// Send it to this address only: the last one given.
    pub redirect: Option<Address>,
    /// Copies.
    pub bcc: Vec<Address>,
    /// Headers to put before all others, in order: name and value.
    pub headers: Vec<(String, String)>,
    /// How long to wait before the next reply; taken by each.
    pub(crate) delay: Duration,
}
