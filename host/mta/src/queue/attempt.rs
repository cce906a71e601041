//! One attempt, from the batch to the committed outcome.
//!
//! Whatever is uncertain is a deferral. Bounces are stored in the same commit as the outcomes that cause them, so that a sender is
//! told once, whenever the process dies.

use std::sync::Arc;

use facteur_smtp::{Address, Reply};
use facteur_spool::{Message, NewMessage, Recipient, Timestamp, What};

use super::batch::Batch;
use super::scheduler::Finished;
use super::{Parts, Queue};
use crate::bounce::{self, News};
use crate::decisions::Record;
use crate::delivery::{Attempt, Duty, Outcome};
use crate::intake;
use crate::notice::Action;

/// Tries the batch (or defers it untried, with this reply), and records what came of it.
pub async fn run(parts: &Parts, queue: &Queue, batch: Batch, dead: Option<Reply>) -> Finished {
    let tried = dead.is_none();
    let mut finished = Finished { tried, ..untried(&batch) };
    let Some((message, recipients)) = loaded(parts, &batch).await else {
        // Gone, corrupt, or a store in trouble: the store has the truth, and is asked again.
        finished.tried = false;
        finished.deferred = ask_again(parts, &batch);
        return finished;
    };
    let now = Timestamp::now();
    let (outcomes, reached) = if let Some(reply) = dead {
        (vec![Outcome::Deferred { reply, remote: None }; recipients.len()], true)
    } else {
        let recipients: Vec<&Recipient> = recipients.iter().collect();
        let sender = recipients.first().and_then(|first| sender(&message, first));
        let attempt = Attempt { message: &message, sender, recipients: &recipients, route: &batch.route };
        let attempted = parts.deliverer.attempt(&attempt).await;
        (attempted.outcomes, attempted.reached)
    };
    if !reached && let Some(outcome) = outcomes.first() {
        finished.unreached = Some((outcome.reply().clone(), parts.backoff.revive(now)));
    }
    let settled = settle(parts, &message, &recipients, outcomes, now);
    finished.deferred = settled
        .outcomes
        .iter()
        .zip(&recipients)
        .filter_map(|(outcome, recipient)| match &outcome.what {
            What::Deferred { next_try, .. } => Some((Arc::from(recipient.address.domain()), *next_try)),
            What::Done => None,
        })
        .collect();
    if !record(parts, queue, &message, settled).await {
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
        tried: false,
    }
}

/// The message, and those of the batch's recipients that are still there.
async fn loaded(parts: &Parts, batch: &Batch) -> Option<(Message, Vec<Recipient>)> {
    let wanted = |recipient: &&Recipient| batch.recipients.iter().any(|(id, _)| *id == recipient.id);
    if let Some(kept) = &batch.kept {
        let recipients = kept.message.recipients.iter().filter(wanted).cloned().collect();
        return Some((Message { recipients: Vec::new(), ..kept.message.clone() }, recipients));
    }
    let ids = batch.recipients.iter().map(|(id, _)| *id).collect();
    match parts.spool.load(batch.message, Some(ids)).await {
        Ok(Some(mut message)) => {
            let recipients: Vec<Recipient> = std::mem::take(&mut message.recipients);
            let due: Vec<Recipient> =
                recipients.into_iter().filter(|one| one.state == facteur_spool::State::Queued).collect();
            (!due.is_empty()).then_some((message, due))
        }
        Ok(None) => None,
        Err(error) => {
            tracing::error!(id = %batch.message, %error, "not tried");
            None
        }
    }
}

/// The envelope sender of a recipient: its own, where it came through a list.
fn sender<'a>(message: &'a Message, recipient: &'a Recipient) -> Option<&'a Address> {
    recipient.sender.as_ref().unwrap_or(&message.sender).as_ref()
}

struct Settled {
    outcomes: Vec<facteur_spool::Outcome>,
    /// What the sender is to be told, where it wants to be.
    news: Vec<News>,
}

/// What each outcome means for the store, and one log line each.
fn settle(
    parts: &Parts,
    message: &Message,
    recipients: &[Recipient],
    outcomes: Vec<Outcome>,
    now: Timestamp,
) -> Settled {
    let mut settled = Settled { outcomes: Vec::new(), news: Vec::new() };
    let mut tell = |recipient: &Recipient, action, reply, remote| {
        settled.news.push(News { recipient: recipient.clone(), action, reply, remote });
    };
    for (recipient, outcome) in recipients.iter().zip(outcomes) {
        let what = match outcome {
            Outcome::Delivered { reply, remote, duty } => {
                log(parts, message, recipient, "sent", &reply, remote.as_deref(), now);
                match duty {
                    Duty::Delivered => tell(recipient, Action::Delivered, reply, remote),
                    Duty::Relayed => tell(recipient, Action::Relayed, reply, remote),
                    Duty::HandedOn | Duty::None => {}
                }
                What::Done
            }
            Outcome::Failed { reply, remote } => {
                log(parts, message, recipient, "bounced", &reply, remote.as_deref(), now);
                tell(recipient, Action::Failed, reply, remote);
                What::Done
            }
            Outcome::Deferred { reply, remote } => {
                let null_sender = sender(message, recipient).is_none();
                if let Some(next_try) = parts.backoff.next_try(message.received_at, now, null_sender) {
                    log(parts, message, recipient, "deferred", &reply, remote.as_deref(), now);
                    What::Deferred { next_try, reply, remote }
                } else {
                    log(parts, message, recipient, "expired", &reply, remote.as_deref(), now);
                    tell(recipient, Action::Failed, reply, remote);
                    What::Done
                }
            }
        };
        settled.outcomes.push(facteur_spool::Outcome { recipient: recipient.id, what });
    }
    settled
}

/// One line, and one record of what was decided, for each recipient of each attempt.
fn log(
    parts: &Parts,
    message: &Message,
    recipient: &Recipient,
    status: &str,
    reply: &Reply,
    remote: Option<&str>,
    now: Timestamp,
) {
    if parts.decisions.is_on() {
        let by = remote.map_or_else(String::new, |remote| format!(" ({remote})"));
        let outcome = format!("{status}{by}: {reply}");
        parts.decisions.keep(Record::delivery(message.queue_id, &recipient.address, Vec::new(), outcome));
    }
    let delay = now.0.saturating_sub(message.received_at.0);
    tracing::info!(
        id = %message.queue_id,
        to = %recipient.address,
        orig_to = (recipient.original != recipient.address).then(|| recipient.original.to_string()),
        relay = remote.unwrap_or("none"),
        delay_ms = delay,
        status,
        reply = %reply,
        "delivery"
    );
}

/// Commits outcomes and bounces, and hands the bounces to the queue. False: nothing was recorded.
async fn record(parts: &Parts, queue: &Queue, message: &Message, settled: Settled) -> bool {
    let sender = settled.news.first().and_then(|news| sender(message, &news.recipient)).cloned();
    let notice =
        match bounce::notice(&parts.spool, &parts.lives.load_full(), message, sender.as_ref(), &settled.news).await {
            Ok(notice) => notice,
            Err(error) => {
                // Nothing is recorded: the recipients are tried again, and a duplicate is better than a loss.
                tracing::error!(id = %message.queue_id, %error, "the sender can't be told yet");
                return false;
            }
        };
    let notices: Vec<NewMessage> = notice.into_iter().collect();
    let messages: Vec<Message> = notices.iter().map(intake::as_stored).collect();
    match parts.spool.record(settled.outcomes, notices).await {
        Ok(queued) => {
            for (message, queued) in messages.into_iter().zip(&queued) {
                intake::log_queued(&message, queued, None);
                queue.arrived(intake::with_ids(message, queued));
            }
            true
        }
        Err(error) => {
            // If the spool has failed the program is ending, and the recipients are tried again after the restart.
            tracing::error!(id = %message.queue_id, %error, "the outcome isn't recorded: it is tried again");
            false
        }
    }
}
