//! Does the attempts, each by the transport of its route, and keeps connections from one to the
//! next.

use std::sync::Arc;

use arc_swap::ArcSwap;
use facteur_policy::Route;
use facteur_smtp::{Reply, status};
use facteur_spool::{End, Recipient, Target};

use super::attempt::{Attempt, Attempted};
use super::outcome::Outcome;
use super::settings::Settings;
use super::stop::Stop;
use super::writers::Writers;
use super::{delivered_to, maildir, smtp};

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
    writers: Writers,
    stop: Stop,
}

impl Deliverer {
    /// A deliverer without connections.
    pub fn new(settings: Settings, room: Room) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            smtp: smtp::Smtp::new(room.idle_connections),
            writers: Writers::new(room.mailboxes),
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
                    let outcome =
                        maildir::deliver(&settings, &self.writers, &self.stop, attempt, recipient);
                    let Some(outcome) = outcome.await else {
                        let (done, untried) = (outcomes.len(), attempt.stopped().outcomes);
                        outcomes.extend(untried.into_iter().skip(done));
                        return Attempted { outcomes, reached: true, stopped: true };
                    };
                    outcomes.push(outcome);
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

    /// Breaks off what can be tried again, says QUIT on the connections that nothing uses, and
    /// keeps none from now on.
    pub fn stop(&self) {
        self.stop.now();
        self.smtp.close();
    }
}

/// Nothing is delivered to anybody: neither to who gets nothing, nor to an alias, whose members are
/// recipients of their own.
fn discarded(recipient: &Recipient) -> Outcome {
    let (text, owed) = match recipient.target {
        Target::Address => ("discarded", None),
        Target::Alias => ("given to the members of the alias", Some(End::Expanded)),
        Target::List => ("delivered to the mailing list", Some(End::Delivered)),
    };
    Outcome::Delivered { reply: Reply::new(250, status::UNDEFINED, text), remote: None, owed }
}
