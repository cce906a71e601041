//! What a guest's calls into the host reach: who it is, what it is lent, what it is asked about.

use std::sync::{Arc, Weak};

use facteur_smtp::Address;
use futures_util::future::BoxFuture;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Result, Store, bail, format_err};

use super::bindings::Imports;
use super::checks::printable;
use crate::domains::Domains;
use crate::facts::{EnvelopeFacts, RecipientFacts, SessionFacts};
use crate::grants::Grants;
use crate::message::{Draft, Message};
use crate::runtime::error::CallError;
use crate::runtime::instance_pool::InstancePool;
use crate::runtime::store::{self, Data};
use crate::services::{Services, Verified};

/// Log lines for one call of a hook; more are dropped.
const LOG_LINES: u32 = 100;
/// Side effects of one call that are told of: more than any that counts.
const EFFECTS: usize = 64;

/// The instance pool for plugins.
pub type Runtime = InstancePool<Context>;
/// The store of a plugin's instance.
pub(crate) type PluginStore = Store<Data<Context>>;

/// What a plugin is for its own calls into the host.
#[derive(Clone)]
pub(crate) struct Profile {
    pub name: String,
    /// `[plugin.settings]` as a JSON object.
    pub settings: String,
    pub grants: Grants,
    /// What `init` kept.
    pub kept: Vec<u8>,
}

/// Where a question is asked, and so what it is about. Nothing of it can be exchanged in a
/// transaction but the message, which comes last.
#[derive(Clone, Default)]
pub(crate) enum Scope {
    /// Nowhere: in `init`, and between two questions.
    #[default]
    Nowhere,
    /// In a session, before there is an envelope.
    Session(Arc<SessionFacts>),
    /// In a transaction.
    Transaction(Arc<SessionFacts>, Arc<EnvelopeFacts>, Option<Message>),
    /// In the queue, where there is no session any more.
    Queue(Arc<EnvelopeFacts>),
}

impl Scope {
    /// The session, where there is one.
    pub(crate) fn session(&self) -> Option<&Arc<SessionFacts>> {
        match self {
            Self::Session(session) | Self::Transaction(session, ..) => Some(session),
            Self::Nowhere | Self::Queue(_) => None,
        }
    }

    /// The envelope, where there is one.
    pub(crate) fn envelope(&self) -> Option<&Arc<EnvelopeFacts>> {
        match self {
            Self::Transaction(_, envelope, _) | Self::Queue(envelope) => Some(envelope),
            Self::Nowhere | Self::Session(_) => None,
        }
    }

    /// The same place, with facts of one's own.
    pub(crate) fn apart(&self) -> Self {
        let session = |real: &SessionFacts| Arc::new(real.apart());
        let envelope = |real: &EnvelopeFacts| Arc::new(real.apart());
        match self {
            Self::Nowhere => Self::Nowhere,
            Self::Session(real) => Self::Session(session(real)),
            Self::Transaction(of, real, message) => {
                Self::Transaction(session(of), envelope(real), message.clone())
            }
            Self::Queue(real) => Self::Queue(envelope(real)),
        }
    }

    /// Takes over what has become known of the same place since.
    pub(crate) fn catch_up(&mut self, real: &Self) {
        match (self, real) {
            (Self::Session(own), Self::Session(real)) => own.catch_up(real),
            (Self::Transaction(session, envelope, message), Self::Transaction(of, real, now)) => {
                session.catch_up(of);
                envelope.catch_up(real);
                message.clone_from(now);
            }
            (Self::Queue(own), Self::Queue(real)) => own.catch_up(real),
            _ => {}
        }
    }
}

/// What only other plugins can say of a recipient.
pub(crate) trait Recipients: Send + Sync {
    /// Whether an alias plugin or a mailbox vouches for the address.
    fn listed<'a>(
        &'a self,
        recipient: &'a RecipientFacts,
    ) -> BoxFuture<'a, std::result::Result<bool, CallError>>;

    /// What this host knows of the address itself, and for what it only hands on, what the next hop
    /// knows.
    fn verified(&self, address: Address) -> BoxFuture<'_, Verified>;
}

/// Where nobody can be asked.
enum Nobody {}

impl Recipients for Nobody {
    fn listed<'a>(
        &'a self,
        _: &'a RecipientFacts,
    ) -> BoxFuture<'a, std::result::Result<bool, CallError>> {
        match *self {}
    }

    fn verified(&self, _: Address) -> BoxFuture<'_, Verified> {
        match *self {}
    }
}

/// What a guest's calls into the host reach.
pub struct Context {
    pub(crate) plugin: Arc<Profile>,
    pub(crate) services: Arc<Services>,
    pub(crate) domains: Arc<Domains>,
    pub(crate) scope: Scope,
    /// Weak: who can be asked owns the sandboxes, not they it.
    pub(crate) recipients: Weak<dyn Recipients>,
    /// What `keep` gave, and whether it may be called: only in `init`.
    pub(crate) initializing: Option<Vec<u8>>,
    /// What it did in this call besides answering, in words.
    pub(crate) effects: Vec<String>,
    /// What a content plugin has edited, while it is asked.
    pub(crate) draft: Option<Draft>,
    /// Log lines left in this call.
    pub(crate) log_lines: u32,
}

impl store::Context for Context {
    fn link(linker: &mut Linker<Data<Self>>) -> Result<()> {
        Imports::add_to_linker::<_, HasSelf<Self>>(linker, Data::called)
    }

    fn begin(&mut self) {
        self.log_lines = LOG_LINES;
        self.effects.clear();
        self.draft = None;
    }

    fn rest(&mut self) {
        self.scope = Scope::Nowhere;
        self.recipients = Weak::<Nobody>::new();
    }
}

impl Context {
    /// For a plugin that sees nothing yet.
    pub(crate) fn new(
        plugin: &Arc<Profile>,
        services: &Arc<Services>,
        domains: &Arc<Domains>,
    ) -> Self {
        Self {
            plugin: plugin.clone(),
            services: services.clone(),
            domains: domains.clone(),
            scope: Scope::Nowhere,
            recipients: Weak::<Nobody>::new(),
            initializing: None,
            effects: Vec::new(),
            draft: None,
            log_lines: LOG_LINES,
        }
    }

    pub(super) fn session(&self) -> Result<&SessionFacts> {
        self.scope.session().map(|it| &**it).ok_or_else(|| format_err!("there is no session here"))
    }

    pub(super) fn envelope(&self) -> Result<&EnvelopeFacts> {
        let envelope = self.scope.envelope().map(|it| &**it);
        envelope.ok_or_else(|| format_err!("there is no transaction here"))
    }

    /// The message that is being taken in.
    pub(super) fn message(&self) -> Result<&Message> {
        match &self.scope {
            Scope::Transaction(.., Some(message)) => Ok(message),
            _ => bail!("there is no message here"),
        }
    }

    /// The envelope, where actions make sense.
    pub(super) fn acting(&self) -> Result<&EnvelopeFacts> {
        match &self.scope {
            Scope::Transaction(_, envelope, _) => Ok(envelope),
            Scope::Queue(_) => {
                bail!("an action in the queue: there is no session that it could be for")
            }
            Scope::Nowhere | Scope::Session(_) => bail!("there is no transaction here"),
        }
    }

    /// The same, for what shall be told of.
    pub(super) fn act(&mut self, effect: &str) -> Result<&EnvelopeFacts> {
        self.acting()?;
        if self.effects.len() < EFFECTS {
            self.effects.push(printable(effect));
        }
        self.acting()
    }

    /// The envelope of a message that a content plugin inspects, for what shall be told of.
    pub(super) fn editing(&mut self, effect: &str) -> Result<&EnvelopeFacts> {
        if self.draft.is_none() {
            bail!("an edit outside of content.inspect");
        }
        self.act(effect)
    }
}
