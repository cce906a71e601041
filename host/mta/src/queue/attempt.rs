//! One attempt, from the batch to the committed outcome.
//!
//! Whatever is uncertain is a deferral. A notice is stored in the same commit in which the
//! recipients that it tells of go, so that a sender is told once, whenever the process dies. Where
//! other attempts at the message are under way they stay until one notice tells of all.
//!
//! Nobody is told about a message from the null sender, so that no bounce is ever answered by a
//! bounce.

use std::sync::Arc;

use facteur_policy::Trace;
use facteur_smtp::Reply;
use facteur_spool::{End, Message, Recipient, RecipientHead, Target, Timestamp, Update};

use super::batch::Batch;
use super::disposition::{self, Disposition, Fate};
use super::door::Queue;
use super::parts::Parts;
use super::redirect;
use super::scheduler::Finished;
use crate::decisions::Record;
use crate::delivery::{Attempt, Outcome};
use crate::dsn::bounce;
use crate::dsn::report::{Action, Report};
use crate::recipient::{notes, sender};

/// Tries the batch (or defers it untried, with this reply), and records what came of it.
pub async fn run(parts: &Parts, queue: &Queue, batch: Batch, dead: Option<Reply>) -> Finished {
    let tried = dead.is_none();
    let mut finished = Finished { tried, ..untried(&batch) };
    let Some((message, mut recipients)) = loaded(parts, &batch).await else {
        // Gone, corrupt, or a store in trouble: the store has the truth, and is asked again.
        finished.tried = false;
        finished.deferred = ask_again(parts, &batch);
        return finished;
    };
    let now = Timestamp::now();
    // Whether nobody else is left of the message.
    let mut alone = batch.alone;
    let (outcomes, reached) = if let Some(reply) = dead {
        (vec![Outcome::Deferred { reply, remote: None }; recipients.len()], true)
    } else {
        let all: Vec<&Recipient> = recipients.iter().collect();
        let sender = all.first().and_then(|first| sender(&message, first));
        let alias = all.first().and_then(|first| notes::alias(&first.tags));
        let attempt = Attempt {
            message: &message,
            sender,
            alias: alias.as_ref(),
            recipients: &all,
            route: &batch.route,
        };
        let mut attempted = parts.deliverer.attempt(&attempt).await;
        if attempted.stopped {
            // The rest stays due in the store, and the next start finds it there.
            alone = false;
            (recipients, attempted.outcomes) = recipients
                .into_iter()
                .zip(attempted.outcomes)
                .filter(|(_, outcome)| !matches!(outcome, Outcome::Deferred { .. }))
                .unzip();
            if recipients.is_empty() {
                return finished;
            }
        }
        (attempted.outcomes, attempted.reached)
    };
    if !reached && let Some(outcome) = outcomes.first() {
        finished.unreached = Some((outcome.reply().clone(), parts.backoff.revive(now)));
    }
    let attempted = recipients.iter().zip(outcomes);
    let settled = settle(parts, &message, attempted, (tried, alone), now).await;
    finished.deferred = settled
        .outcomes
        .iter()
        .zip(&recipients)
        .filter_map(|(outcome, recipient)| match &outcome.what {
            Update::Deferred { next_try, .. } => {
                Some((Arc::from(recipient.address.domain()), *next_try))
            }
            Update::Done | Update::Ended { .. } => None,
        })
        .collect();
    finished.ended = settled.outcomes.iter().any(|one| matches!(one.what, Update::Ended { .. }));
    if !record(parts, queue, &message, settled).await {
        finished.ended = false;
        finished.deferred = ask_again(parts, &batch);
    }
    finished
}

/// When to look into the store again for recipients whose outcome isn't there.
fn ask_again(parts: &Parts, batch: &Batch) -> Vec<(Arc<str>, Timestamp)> {
    let when = parts.backoff.revive(Timestamp::now());
    batch.recipients.iter().map(|(_, domain)| (domain.clone(), when)).collect()
}

/// A batch that was not tried: the program is about to stop.
pub fn untried(batch: &Batch) -> Finished {
    Finished {
        destination: batch.destination.clone(),
        recipients: batch.recipients.clone(),
        deferred: Vec::new(),
        unreached: None,
        ended: false,
        tried: false,
    }
}

/// The message, and those of the batch's recipients that are still there.
async fn loaded(parts: &Parts, batch: &Batch) -> Option<(Message, Vec<Recipient>)> {
    let wanted =
        |recipient: &&Recipient| batch.recipients.iter().any(|(id, _)| *id == recipient.id);
    if let Some(kept) = &batch.kept {
        let recipients = kept.message.recipients.iter().filter(wanted).cloned().collect();
        return Some((Message { recipients: Vec::new(), ..kept.message.clone() }, recipients));
    }
    let ids = batch.recipients.iter().map(|(id, _)| *id).collect();
    match parts.spool.load(batch.message, Some(ids)).await {
        Ok(Some(mut message)) => {
            let recipients: Vec<Recipient> = std::mem::take(&mut message.recipients);
            let due: Vec<Recipient> = recipients
                .into_iter()
                .filter(|one| one.state == facteur_spool::RecipientState::Queued)
                .collect();
            (!due.is_empty()).then_some((message, due))
        }
        Ok(None) => None,
        Err(error) => {
            tracing::error!(id = %batch.message, %error, "not tried");
            None
        }
    }
}

/// What is recorded of an attempt, in one commit.
#[derive(Default)]
struct Settled {
    outcomes: Vec<facteur_spool::RecipientUpdate>,
    /// What the sender is told now.
    reports: Vec<Report>,
    /// Who gets the message in the place of others.
    instead: Vec<RecipientHead>,
}

/// What each outcome means for the store, and one log line each. Plugins hear of those that were
/// really tried. `alone`: no other attempt at the message was under way, so that the sender can be
/// told at once.
async fn settle(
    parts: &Parts,
    message: &Message,
    attempted: impl Iterator<Item = (&Recipient, Outcome)>,
    (tried, alone): (bool, bool),
    now: Timestamp,
) -> Settled {
    let mut settled = Settled::default();
    for (recipient, outcome) in attempted {
        let disposition = decide(parts, message, recipient, outcome, tried, now).await;
        let is_told = sender(message, recipient).is_some();
        let end = disposition.end();
        if end == Some(End::Failed) && !is_told {
            tracing::warn!(
                id = %message.queue_id, to = %recipient.address,
                "lost, and nobody is told: it is from the null sender"
            );
        }
        let wanted = end.filter(|&end| is_told && Action::from(end).is_wanted(recipient.notify));
        let Disposition { fate, reply, remote, .. } = disposition;
        let remote = remote.map(|remote| remote.peer);
        let what = match (fate, wanted) {
            (Fate::Deferred(next_try), _) => Update::Deferred { next_try, reply, remote },
            (_, Some(end)) if !alone => Update::Ended { end, reply, remote },
            (fate, wanted) => {
                if let Some(end) = wanted {
                    let (recipient, action) = (recipient.clone(), end.into());
                    settled.reports.push(Report { recipient, action, reply, remote });
                }
                if let Fate::Redirected(others) | Fate::Expanded(others) = fate {
                    settled.instead.extend(others);
                }
                Update::Done
            }
        };
        settled.outcomes.push(facteur_spool::RecipientUpdate { recipient: recipient.id, what });
    }
    settled
}

/// What we do with one recipient, told in the log and in the trace of decisions.
async fn decide(
    parts: &Parts,
    message: &Message,
    recipient: &Recipient,
    outcome: Outcome,
    tried: bool,
    now: Timestamp,
) -> Disposition {
    let policy = parts.in_force.load().policy.clone();
    let (backoff, trace) = (&parts.backoff, Arc::default());
    let planned = disposition::planned(backoff, message, recipient, outcome, now);
    let disposition = if tried && disposition::is_unresolved(recipient) {
        disposition::resolved(&policy, backoff, message, recipient, planned, now, &trace).await
    } else if tried && recipient.target == Target::Address && policy.advises() {
        disposition::advised(&policy, backoff, message, recipient, planned, now, &trace).await
    } else {
        planned
    };
    log(parts, message, recipient, &disposition, &trace, now);
    disposition
}

/// One line, and one record of what was decided, for each recipient of each attempt.
fn log(
    parts: &Parts,
    message: &Message,
    recipient: &Recipient,
    disposition: &Disposition,
    trace: &Trace,
    now: Timestamp,
) {
    let (status, reply) = (disposition.status(), &disposition.reply);
    let remote = disposition.remote.as_ref();
    if parts.decisions.is_on() {
        let by = remote.map_or_else(String::new, |remote| format!(" ({remote})"));
        let outcome = format!("{status}{by}: {reply}");
        parts.decisions.keep(Record::delivery(
            message.queue_id,
            &recipient.address,
            trace.take(),
            outcome,
        ));
    }
    let delay = now.0.saturating_sub(message.received_at.0);
    tracing::info!(
        id = %message.queue_id,
        to = %recipient.address,
        orig_to = (recipient.original != recipient.address).then(|| recipient.original.to_string()),
        relay = remote.map_or("none", |remote| &remote.peer),
        tls = remote.and_then(|remote| remote.tls.as_deref()),
        delay_ms = delay,
        status,
        reply = %reply,
        "delivery"
    );
}

/// Commits outcomes, the notice and redirections. False: nothing was recorded.
async fn record(parts: &Parts, queue: &Queue, message: &Message, settled: Settled) -> bool {
    let mut new = Vec::new();
    // All of an attempt have one envelope sender.
    let to = settled.reports.first().and_then(|report| sender(message, &report.recipient));
    if let Some(to) = to.cloned() {
        let snapshot = parts.in_force.load_full();
        match bounce::notice(&parts.spool, &snapshot, message, &to, &settled.reports).await {
            Ok(notice) => new.push(notice),
            Err(error) => {
                // Nothing is recorded: the recipients are tried again, and a duplicate is better
                // than a loss.
                tracing::error!(id = %message.queue_id, %error, "the sender can't be told yet");
                return false;
            }
        }
    }
    match redirect::message(&parts.spool, message, settled.instead).await {
        Ok(redirected) => new.extend(redirected),
        Err(error) => {
            tracing::error!(id = %message.queue_id, %error, "it can't be redirected yet");
            return false;
        }
    }
    queue.record(message, settled.outcomes, new).await
}
