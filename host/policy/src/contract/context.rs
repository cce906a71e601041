//! What a guest's calls into the host reach: who it is, what it is lent, what it is asked about.
//!
//! Every function of the contract is there in every hook. One that has no sense there is a trap
//! that says which, and where it may be called: what a hook doesn't see is said here alone.

use std::sync::{Arc, Weak};

use facteur_smtp::Address;
use futures_util::future::BoxFuture;
use wasmtime::{Error, Result, format_err};

use super::exports::HookName;
use super::subject::Subject;
use super::text::printable;
use super::transcript::Transcript;
use crate::domains::Domains;
use crate::facts::{EnvelopeFacts, RecipientFacts, SessionFacts};
use crate::grants::Grants;
use crate::message::{Draft, Message};
use crate::runtime::error::CallError;
use crate::runtime::instance_pool::InstancePool;
use crate::services::{Services, Verified};
use crate::settings::Settings;

/// Log lines for one call of a hook; more are dropped.
const LOG_LINES: u32 = 100;
/// Side effects of one call that are told of: more than any that counts.
const EFFECTS: usize = 64;

/// The instance pool for plugins.
pub type Runtime = InstancePool<Context>;

/// What a plugin is for its own calls into the host.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub name: String,
    pub settings: Settings,
    pub grants: Grants,
    /// What `init` kept.
    pub kept: Vec<u8>,
}

/// Where a question is asked. Nothing of it can be exchanged in a transaction but the message,
/// which comes last.
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

/// What `init` does besides answering.
pub(crate) struct Initializing {
    /// The hooks that the plugin exports.
    pub exported: Vec<HookName>,
    /// Those that it doesn't want to be asked.
    pub skipped: Vec<HookName>,
    /// What `keep` was given.
    pub kept: Vec<u8>,
}

/// What a guest's calls into the host reach.
pub struct Context {
    pub(crate) plugin: Arc<Profile>,
    pub(crate) services: Arc<Services>,
    pub(crate) domains: Arc<Domains>,
    pub(crate) scope: Scope,
    /// The hook that is asked; none in `init`.
    pub(crate) hook: Option<HookName>,
    /// What this very question is about.
    pub(crate) subject: Subject,
    /// Weak: who can be asked owns the sandboxes, not they it.
    pub(crate) recipients: Weak<dyn Recipients>,
    /// Only in `init`.
    pub(crate) initializing: Option<Initializing>,
    /// What it did in this call besides answering, in words.
    pub(crate) effects: Vec<String>,
    /// What a content plugin has edited, while it is asked.
    pub(crate) draft: Option<Draft>,
    /// Log lines left in this call.
    pub(crate) log_lines: u32,
    /// What it has asked in this call, and was answered.
    pub(crate) transcript: Transcript,
    /// The last line that it logged as an error in this call: a panic says there what it was.
    pub(crate) last_error: Option<String>,
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
            hook: None,
            subject: Subject::Nothing,
            recipients: Weak::<Nobody>::new(),
            initializing: None,
            effects: Vec::new(),
            draft: None,
            log_lines: LOG_LINES,
            transcript: Transcript::default(),
            last_error: None,
        }
    }

    /// Between two questions.
    pub(super) fn see_nothing(&mut self) {
        self.scope = Scope::Nowhere;
        self.hook = None;
        self.subject = Subject::Nothing;
        self.recipients = Weak::<Nobody>::new();
        self.transcript = Transcript::default();
    }

    /// What the guest itself said last of what went wrong.
    pub(crate) fn own_last_words(&self) -> Option<&str> {
        // Where there are credentials, they may be what it couldn't read.
        self.last_error.as_deref().filter(|_| self.hook != Some(HookName::Authenticate))
    }

    /// Why a function can't be called here.
    pub(super) fn misplaced(&self, function: &str, place: &str) -> Error {
        let here = self.hook.map_or("init", HookName::name);
        format_err!("{function} was called in {here}: it is for {place}")
    }

    pub(super) fn session(&self, function: &str) -> Result<&SessionFacts> {
        let seen = self.hook.filter(|hook| hook.has_session()).and(self.scope.session());
        seen.map(|it| &**it).ok_or_else(|| {
            self.misplaced(function, "all hooks but on-alias, on-transport and on-delivery")
        })
    }

    /// The envelope, where the hook has one; none where it may have one and there is none yet.
    pub(super) fn envelope_if_any(&self, function: &str) -> Result<Option<&EnvelopeFacts>> {
        if self.hook.is_some_and(HookName::has_transaction) {
            Ok(self.scope.envelope().map(|it| &**it))
        } else {
            Err(self.misplaced(function, "all hooks but on-alias and on-authenticate"))
        }
    }

    pub(super) fn envelope(&self, function: &str) -> Result<&EnvelopeFacts> {
        self.envelope_if_any(function)?
            .ok_or_else(|| self.misplaced(function, "where transaction.exists says true"))
    }

    /// The recipient that the question is about.
    pub(super) fn recipient(&self, function: &str) -> Result<&Arc<RecipientFacts>> {
        self.subject.recipient().ok_or_else(|| {
            self.misplaced(function, "on-rcpt, on-alias, on-transport and on-delivery")
        })
    }

    /// The message that is being taken in.
    pub(super) fn message(&self, function: &str) -> Result<&Message> {
        match &self.scope {
            Scope::Transaction(.., Some(message))
                if self.hook.is_some_and(HookName::has_message) =>
            {
                Ok(message)
            }
            _ => Err(self.misplaced(function, "on-end-of-data and on-content")),
        }
    }

    /// The envelope, where actions make sense.
    pub(super) fn acting(&self, function: &str) -> Result<&EnvelopeFacts> {
        let envelope = self.envelope(function)?;
        if matches!(self.scope, Scope::Queue(_)) {
            return Err(self.misplaced(function, "the hooks of a session"));
        }
        Ok(envelope)
    }

    /// The same, for what shall be told of.
    pub(super) fn act(&mut self, function: &str, effect: &str) -> Result<&EnvelopeFacts> {
        self.acting(function)?;
        if self.effects.len() < EFFECTS {
            self.effects.push(printable(effect));
        }
        self.acting(function)
    }

    /// What is edited, and the message as the plugin sees it.
    pub(super) fn editing(&mut self, function: &str) -> Result<(&mut Draft, &Message)> {
        let here = self.hook.map_or("init", HookName::name);
        let misplaced = || format_err!("{function} was called in {here}: it is for on-content");
        let draft = self.draft.as_mut().ok_or_else(misplaced)?;
        match &self.scope {
            Scope::Transaction(.., Some(message)) => Ok((draft, message)),
            _ => Err(misplaced()),
        }
    }
}
