//! What we do with a recipient after an attempt: what the host plans, and what a plugin advises in
//! its place.
//!
//! Advice changes what is recorded, never whether something is: each recipient has one, and
//! what can't be followed (too late, too often, nobody there) leaves what was planned. A
//! redirection that can't be resolved now makes the recipient wait.

use std::sync::Arc;
use std::time::Duration;

use facteur_policy::{Advice, Attempted, Consignment, FinalRecipient, Policy, Tags, Trace};
use facteur_smtp::{Notify, Reply, status};
use facteur_spool::{End, Message, Recipient, RecipientHead, Timestamp};

use super::backoff::{Backoff, after};
use crate::delivery::{Outcome, Remote};
use crate::recipient::{self, notes, sender};

/// The shortest wait that a plugin may ask for: less would be a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// How often another may be put in the place of a recipient: two plugins, or two sites, that send
/// it to each other end it so.
const REPLACEMENTS: u32 = 5;
/// What one redirection may become.
const REDIRECTED_AT_MOST: usize = 1_000;

/// What becomes of a recipient.
#[derive(Debug)]
pub enum Fate {
    /// It is out of our hands; its sender is owed a notice of this.
    Delivered(Option<End>),
    /// Never tried again.
    Failed,
    /// The same, since its time is over.
    Expired,
    /// Tried again then.
    Deferred(Timestamp),
    /// These get the message in its place.
    Redirected(Vec<RecipientHead>),
    /// The same, since it was found out now who they are.
    Expanded(Vec<RecipientHead>),
}

/// What we do with a recipient.
#[derive(Debug)]
pub struct Disposition {
    /// What becomes of it.
    pub fate: Fate,
    /// In whose words.
    pub reply: Reply,
    /// Who said so.
    pub remote: Option<Remote>,
    /// Nobody is told.
    pub quiet: bool,
}

impl Disposition {
    /// The word in the log.
    pub fn status(&self) -> &'static str {
        match self.fate {
            Fate::Delivered(_) => "sent",
            Fate::Failed => "bounced",
            Fate::Expired => "expired",
            Fate::Deferred(_) => "deferred",
            Fate::Redirected(_) => "redirected",
            Fate::Expanded(_) => "expanded",
        }
    }

    /// How it ended, if its sender may be told so.
    pub fn end(&self) -> Option<End> {
        match self.fate {
            _ if self.quiet => None,
            Fate::Delivered(owed) => owed,
            Fate::Failed | Fate::Expired => Some(End::Failed),
            Fate::Deferred(_) | Fate::Redirected(_) | Fate::Expanded(_) => None,
        }
    }
}

/// What the host means to do.
pub fn planned(
    backoff: &Backoff,
    message: &Message,
    recipient: &Recipient,
    outcome: Outcome,
    now: Timestamp,
) -> Disposition {
    let (fate, reply, remote) = match outcome {
        Outcome::Delivered { reply, remote, owed } => (Fate::Delivered(owed), reply, remote),
        Outcome::Failed { reply, remote } => (Fate::Failed, reply, remote),
        Outcome::Deferred { reply, remote } => {
            (waiting(backoff, message, recipient, now), reply, remote)
        }
    };
    Disposition { fate, reply, remote, quiet: false }
}

fn waiting(backoff: &Backoff, message: &Message, recipient: &Recipient, now: Timestamp) -> Fate {
    backoff
        .next_try(message.received_at, now, is_from_nobody(message, recipient))
        .map_or(Fate::Expired, Fate::Deferred)
}

fn is_from_nobody(message: &Message, recipient: &Recipient) -> bool {
    sender(message, recipient).is_none()
}

/// What the plugins advise, as far as it can be followed.
pub async fn advised(
    policy: &Arc<Policy>,
    backoff: &Backoff,
    message: &Message,
    recipient: &Recipient,
    planned: Disposition,
    now: Timestamp,
    trace: &Arc<Trace>,
) -> Disposition {
    let tags = Tags::restore(message.tags.clone());
    let consignment = Consignment {
        sender: sender(message, recipient),
        tags: &tags,
        utf8: message.utf8,
        address: &recipient.address,
        original: &recipient.original,
    };
    let next_try =
        if let Fate::Deferred(next_try) = planned.fate { Some(next_try.0) } else { None };
    let attempted = Attempted {
        number: recipient.attempts.saturating_add(1),
        host: planned.remote.as_ref().map(|remote| &*remote.peer),
        reply: &planned.reply,
        next_try,
    };
    match policy.advice(consignment, attempted, trace).await {
        Advice::AsPlanned => planned,
        Advice::NoNotification => Disposition { quiet: true, ..planned },
        Advice::Fail => Disposition { fate: Fate::Failed, ..planned },
        Advice::RetryAfter(wait) => {
            let end = backoff.end(message.received_at, is_from_nobody(message, recipient));
            if now < end {
                Disposition {
                    fate: Fate::Deferred(after(now, wait.max(SHORTEST_WAIT)).min(end)),
                    ..planned
                }
            } else {
                planned
            }
        }
        Advice::Redirect(to) => {
            let times = notes::replaced(&recipient.tags) + 1;
            let resolved = if times > REPLACEMENTS {
                Vec::new()
            } else {
                policy.resolve(to.clone(), trace).await
            };
            if resolved.is_empty() || resolved.len() > REDIRECTED_AT_MOST {
                tracing::warn!(
                    id = %message.queue_id, from = %recipient.address, %to, times,
                    "not redirected: too often, or to too many"
                );
                planned
            } else if let Some(later) = resolved.iter().find_map(undecided) {
                let reply = later.clone();
                Disposition {
                    fate: waiting(backoff, message, recipient, now),
                    reply,
                    remote: None,
                    ..planned
                }
            } else {
                let others =
                    resolved.into_iter().map(|one| instead_of(recipient, one, times)).collect();
                Disposition { fate: Fate::Redirected(others), ..planned }
            }
        }
    }
}

/// Whether it can't be told now if this one is there.
fn undecided(one: &FinalRecipient) -> Option<&Reply> {
    one.refusal.as_ref().filter(|reply| reply.is_transient())
}

/// Whether it couldn't be found out when the message came who gets it.
pub fn is_unresolved(recipient: &Recipient) -> bool {
    recipient.refusal.as_ref().is_some_and(Reply::is_transient)
}

/// Asks again who gets it. As long as nothing more is known, what was planned holds: it waits, and
/// is given up in the end.
pub async fn resolved(
    policy: &Arc<Policy>,
    backoff: &Backoff,
    message: &Message,
    recipient: &Recipient,
    planned: Disposition,
    now: Timestamp,
    trace: &Arc<Trace>,
) -> Disposition {
    let (to, list) = (recipient.address.clone(), notes::list(&recipient.tags));
    let found = policy.resolve_again(to, list.as_deref(), trace).await;
    let waiting = found.iter().find_map(undecided).cloned();
    let times = notes::replaced(&recipient.tags) + 1;
    // Who is known gets it at once; the others go on waiting, each for itself. Where that came up
    // too often already, they wait for each other.
    let nothing_new = found.iter().all(|one| undecided(one).is_some()) && !found.is_empty();
    match waiting {
        Some(reply) if nothing_new || times > REPLACEMENTS => {
            let fate = self::waiting(backoff, message, recipient, now);
            Disposition { fate, reply, remote: None, ..planned }
        }
        _ => {
            let mut others: Vec<RecipientHead> =
                found.into_iter().map(|one| instead_of(recipient, one, times)).collect();
            // RFC 3461 section 5.2.7: a sender hears of no success of a member.
            for one in &mut others {
                one.notify = one.notify.map(Notify::without_success);
            }
            let reply = Reply::new(250, status::UNDEFINED, "it is known now who gets it");
            Disposition { fate: Fate::Expanded(others), reply, remote: None, ..planned }
        }
    }
}

/// Who gets it in the place of a recipient: the sender hears of the address that it wrote to.
fn instead_of(recipient: &Recipient, one: FinalRecipient, times: u32) -> RecipientHead {
    let new = recipient::new(one, recipient.notify, recipient.orcpt.clone());
    RecipientHead {
        original: recipient.original.clone(),
        sender: new.sender.or_else(|| recipient.sender.clone()),
        tags: notes::replacing(&recipient.tags, &new.tags, times),
        ..new
    }
}

#[cfg(test)]
mod tests {
    use facteur_policy::Class;
    use facteur_spool::RecipientState;

    use super::*;

    fn recipient(tags: Vec<(String, String)>) -> Recipient {
        let address: facteur_smtp::Address = "a@here.test".parse().unwrap();
        Recipient {
            id: facteur_spool::RecipientId::default(),
            head: RecipientHead {
                original: "alias@here.test".parse().unwrap(),
                orcpt: Some("rfc822;alias@here.test".into()),
                sender: Some(None),
                tags,
                ..RecipientHead::new(address, "local")
            },
            state: RecipientState::Queued,
            next_try: Timestamp(0),
            attempts: 0,
            last_reply: None,
            remote: None,
        }
    }

    #[test]
    fn redirections_are_counted_from_one_to_the_next() {
        let other = || FinalRecipient {
            address: "b@there.test".parse().unwrap(),
            original: "b@there.test".parse().unwrap(),
            rcpt: None,
            class: Class::Other,
            sender: None,
            alias: None,
            refusal: None,
            list: None,
        };
        let first = recipient(vec![("note".into(), "x".into())]);
        assert_eq!(notes::replaced(&first.tags), 0);
        let next = instead_of(&first, other(), 1);
        assert_eq!(notes::replaced(&next.tags), 1);
        let after = instead_of(&recipient(next.tags.clone()), other(), 2);
        assert_eq!(
            after.tags,
            [("note".to_owned(), "x".to_owned()), ("replaced".to_owned(), "2".to_owned())]
        );
        // The sender knows the address that it wrote to, and bounces go where they went.
        assert_eq!(
            (next.original.to_string(), next.orcpt.as_deref()),
            ("alias@here.test".into(), Some("rfc822;alias@here.test"))
        );
        assert_eq!(next.sender, Some(None));
    }
}
