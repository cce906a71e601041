//! The facts of an envelope, and the actions that plugins gather on it.

use std::sync::Arc;
use std::time::Duration;

use facteur_smtp::{Address, MailParameters, RcptParameters, ReversePath};
use parking_lot::Mutex;

use crate::domains::{Class, Domains, routes_by_itself};
use crate::tags::Tags;

/// The facts of one envelope.
pub(crate) struct EnvelopeFacts {
    pub sender: ReversePath,
    pub sender_class: Option<Class>,
    /// What MAIL said besides. In the queue only whether SMTPUTF8 is needed.
    pub parameters: MailParameters,
    pub changing: Mutex<Changing>,
}

/// What changes while the envelope is made.
#[derive(Default, Clone)]
pub(crate) struct Changing {
    /// Who gets the message, in the order they came.
    pub accepted: Vec<Accepted>,
    /// How many content plugins added.
    added: usize,
    /// Another sender, from a content plugin.
    pub sender: Option<(ReversePath, Option<Class>)>,
    pub tags: Tags,
    pub actions: Actions,
}

/// One that gets the message.
#[derive(Clone)]
pub(crate) struct Accepted {
    pub facts: Arc<RecipientFacts>,
    /// Which accepted RCPT named it, from 0; none: a content plugin added it.
    pub rcpt: Option<usize>,
}

impl Changing {
    /// Adds a recipient that no RCPT named; nothing if it is there already. False: there are
    /// `limit` of these already.
    pub(crate) fn add(&mut self, recipient: RecipientFacts, limit: usize) -> bool {
        if self.accepted.iter().any(|one| one.facts.address == recipient.address) {
            return true;
        }
        if self.added >= limit {
            return false;
        }
        self.added += 1;
        self.accepted.push(Accepted { facts: Arc::new(recipient), rcpt: None });
        true
    }

    /// Takes an address out of those that get the message; whether it was among them.
    pub(crate) fn remove(&mut self, address: &Address) -> bool {
        let before = self.accepted.len();
        self.accepted.retain(|one| one.facts.address != *address);
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
    /// What RCPT said besides; nothing where no RCPT named it.
    pub parameters: RcptParameters,
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
        Self { address, original, class, routed, parameters: RcptParameters::default() }
    }

    /// A fact by its name in the contract; none where there is nothing to say.
    pub(crate) fn fact(&self, name: &str) -> Option<String> {
        match name {
            "rcpt.notify" => self.parameters.notify.map(|notify| notify.to_string()),
            "rcpt.orcpt" => self.parameters.orcpt.clone(),
            _ => None,
        }
    }
}

impl EnvelopeFacts {
    pub(crate) fn new(domains: &Domains, sender: ReversePath) -> Self {
        let sender_class = sender.as_ref().map(|sender| domains.class_of(sender));
        let parameters = MailParameters::default();
        Self { sender, sender_class, parameters, changing: Mutex::default() }
    }

    /// A fact by its name in the contract; none where there is nothing to say.
    pub(crate) fn fact(&self, name: &str) -> Option<String> {
        match name {
            "mail.body" => Some(self.parameters.body.as_str().to_owned()),
            "mail.ret" => self.parameters.ret.map(|ret| ret.as_str().to_owned()),
            "mail.envid" => self.parameters.envid.clone(),
            _ => None,
        }
    }

    /// The sender, as a content plugin may have changed it.
    pub(crate) fn sender_now(&self) -> ReversePath {
        let changing = self.changing.lock();
        changing.sender.as_ref().map_or(&self.sender, |(sender, _)| sender).clone()
    }

    /// The class of that sender.
    pub(crate) fn sender_class_now(&self) -> Option<Class> {
        let changing = self.changing.lock();
        changing.sender.as_ref().map_or(self.sender_class, |(_, class)| *class)
    }

    /// The same facts, for notes and actions of one's own.
    pub(crate) fn apart(&self) -> Self {
        let Self { sender, sender_class, parameters, changing: _ } = self;
        Self {
            sender: sender.clone(),
            sender_class: *sender_class,
            parameters: parameters.clone(),
            changing: Mutex::default(),
        }
    }

    /// Takes over what has become known since.
    pub(crate) fn catch_up(&self, real: &Self) {
        let (mut own, real) = (self.changing.lock(), real.changing.lock());
        own.accepted.clone_from(&real.accepted);
        own.added = real.added;
        own.sender.clone_from(&real.sender);
        own.tags.join(&real.tags);
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
