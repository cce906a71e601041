//! Delivery: one attempt at getting one message to recipients that share a route and an envelope
//! sender.
//!
//! Every attempt ends in one outcome for each recipient. "Delivered" is only said where the next
//! hop took the message over, or the mailbox has it on its disk; whatever is in doubt is deferred,
//! so that a message may come twice and is never lost.
//!
//! It decides no retry, writes no bounce and knows no queue: what to make of an outcome is the
//! caller's.

mod callout;
mod connection;
mod credentials;
pub(crate) mod delivered_to;
#[cfg(test)]
pub(crate) mod fixtures;
mod maildir;
mod pool;
#[cfg(test)]
mod script;
mod smtp;
mod stop;
mod targets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use facteur_policy::{Dns, Route};
use facteur_smtp::{Address, Reply};
use facteur_spool::{Message, Recipient, Target};
use tokio::sync::Semaphore;

pub use callout::callout;

use crate::config::SmtpClient;
use crate::tables::Mailboxes;
use stop::Stop;

/// What delivery knows of the configuration.
#[derive(Clone)]
pub struct Settings {
    /// This host's name: in the file names of Maildirs, and to see that mail loops.
    pub hostname: String,
    /// Where this program listens: a next hop that is one of these is ourselves.
    pub listening: Vec<SocketAddr>,
    /// `[smtp]`.
    pub smtp: SmtpClient,
    /// Where mailboxes are and whose.
    pub mailboxes: Arc<Mailboxes>,
    /// The DNS.
    pub names: Arc<dyn Dns>,
    /// How long all lookups of one attempt may take together.
    pub lookups: Duration,
}

/// One attempt.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The message; its own list of recipients isn't looked at.
    pub message: &'a Message,
    /// The envelope sender of these recipients; none is the null sender.
    pub sender: Option<&'a Address>,
    /// The alias of this machine by which all of these recipients came, if they came by one.
    pub alias: Option<&'a Address>,
    /// Who is to get it.
    pub recipients: &'a [&'a Recipient],
    /// How.
    pub route: &'a Route,
}

impl Attempt<'_> {
    fn all(&self, outcome: &Outcome, reached: bool) -> Attempted {
        let outcomes = vec![outcome.clone(); self.recipients.len()];
        Attempted { outcomes, reached, stopped: false }
    }

    /// Nothing came of it, since the program is ending.
    fn stopped(&self) -> Attempted {
        let reply = Reply::new(450, "4.3.2", "the program is ending");
        Attempted { stopped: true, ..self.all(&Outcome::Deferred { reply, remote: None }, true) }
    }
}

/// What became of one recipient. `remote` is the server that said so, as `host[address]:port`;
/// none: the words are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is out of our hands.
    Delivered {
        /// What the next hop said.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
        /// Who tells the sender, if the sender asked to be told.
        duty: Duty,
    },
    /// To be tried again.
    Deferred {
        /// Why.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
    },
    /// Never to be tried again.
    Failed {
        /// Why.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
    },
}

/// Who owes the sender a notice of success, where NOTIFY=SUCCESS asks for one (RFC 3461 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// We do: it is in the mailbox ("delivered").
    Delivered,
    /// We do: the next hop doesn't know of notices ("relayed").
    Relayed,
    /// We do: its members have it ("expanded").
    Expanded,
    /// The next hop, which took it over.
    HandedOn,
    /// Nobody: it was discarded.
    None,
}

impl Outcome {
    /// Deferred or failed, as the reply says.
    pub(crate) fn refused(reply: Reply, remote: Option<String>) -> Self {
        if reply.is_permanent() {
            Self::Failed { reply, remote }
        } else {
            Self::Deferred { reply, remote }
        }
    }

    /// What was said.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Delivered { reply, .. }
            | Self::Deferred { reply, .. }
            | Self::Failed { reply, .. } => reply,
        }
    }

    /// Who said so.
    pub fn remote(&self) -> Option<&str> {
        match self {
            Self::Delivered { remote, .. }
            | Self::Deferred { remote, .. }
            | Self::Failed { remote, .. } => remote.as_deref(),
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// One for each recipient, in their order.
    pub outcomes: Vec<Outcome>,
    /// False: the destination couldn't be asked (no connection, no greeting, no DNS). Trying it
    /// again soon is of no use to any other message either.
    pub reached: bool,
    /// It was broken off, since the program is ending: what is deferred wasn't tried, and stays as
    /// it was.
    pub stopped: bool,
}

/// What there may be at once.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Idle connections to servers.
    pub idle_connections: usize,
    /// Mailboxes that are written.
    pub mailboxes: usize,
}

/// Does the attempts; keeps connections from one to the next.
pub struct Deliverer {
    settings: ArcSwap<Settings>,
    smtp: smtp::Smtp,
    writers: Semaphore,
    stop: Stop,
}

impl Deliverer {
    /// A deliverer without connections.
    pub fn new(settings: Settings, room: Room) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            smtp: smtp::Smtp::new(room.idle_connections),
            writers: Semaphore::new(room.mailboxes),
            stop: Stop::default(),
        }
    }

    /// Puts other settings in force, for the attempts that begin from now on.
    pub fn configure(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Tries it once.
    pub async fn attempt(&self, attempt: &Attempt<'_>) -> Attempted {
        let settings = self.settings.load_full();
        if let Some(reply) = delivered_to::looping(attempt.message, attempt.alias).await {
            return attempt.all(&Outcome::refused(reply, None), true);
        }
        match attempt.route {
            Route::Smtp(route) => {
                let sent_on =
                    attempt.alias.map(|alias| delivered_to::sent_on_by(alias, attempt.message));
                let message = sent_on.as_ref().unwrap_or(attempt.message);
                let attempt = Attempt { message, ..*attempt };
                self.smtp.attempt(&settings, &attempt, route, &self.stop).await
            }
            Route::Maildir => {
                let mut outcomes = Vec::with_capacity(attempt.recipients.len());
                for recipient in attempt.recipients {
                    // It is never closed, so this is no error.
                    let turn = self.stop.or(self.writers.acquire()).await;
                    if turn.is_none() {
                        let (done, untried) = (outcomes.len(), attempt.stopped().outcomes);
                        outcomes.extend(untried.into_iter().skip(done));
                        return Attempted { outcomes, reached: true, stopped: true };
                    }
                    outcomes.push(maildir::deliver(&settings, attempt, recipient).await);
                }
                Attempted { outcomes, reached: true, stopped: false }
            }
            Route::Discard => {
                let outcomes = attempt.recipients.iter().map(|recipient| discarded(recipient));
                Attempted { outcomes: outcomes.collect(), reached: true, stopped: false }
            }
            Route::Error(reply) => attempt.all(&Outcome::refused(reply.clone(), None), true),
        }
    }

    /// Breaks off what can be tried again, says QUIT on the connections that nothing uses, and keeps
    /// none from now on.
    pub fn stop(&self) {
        self.stop.now();
        self.smtp.close();
    }
}

/// Nothing is delivered to anybody: neither to who gets nothing, nor to an alias, whose members are
/// recipients of their own.
fn discarded(recipient: &Recipient) -> Outcome {
    let (text, duty) = match recipient.target {
        Target::Address => ("discarded", Duty::None),
        Target::Alias => ("given to the members of the alias", Duty::Expanded),
        Target::List => ("delivered to the mailing list", Duty::Delivered),
    };
    Outcome::Delivered { reply: Reply::new(250, "2.0.0", text), remote: None, duty }
}
