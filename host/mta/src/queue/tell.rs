//! Tells senders of the recipients of a message that have ended: one notice for each envelope
//! sender, in the same commit in which those recipients go.

use facteur_smtp::Address;
use facteur_spool::{NewMessage, QueueId, RecipientUpdate, SpoolError, Update};

use super::door::Queue;
use super::parts::Parts;
use crate::dsn::bounce::{self, BounceError};
use crate::dsn::report::Report;
use crate::recipient::sender;

/// Tells all that is to be told of a message. False: it can't be done now.
pub async fn tell(parts: &Parts, queue: &Queue, id: QueueId) -> bool {
    match try_to(parts, queue, id).await {
        Ok(told) => told,
        Err(error) => {
            tracing::error!(%id, %error, "the sender can't be told yet");
            false
        }
    }
}

async fn try_to(parts: &Parts, queue: &Queue, id: QueueId) -> Result<bool, BounceError> {
    let mut message = match parts.spool.load(id, None).await {
        Ok(Some(message)) => message,
        // Deleted since, or set aside as corrupt, which the store has logged.
        Ok(None) | Err(SpoolError::Corrupt { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let recipients = std::mem::take(&mut message.recipients);
    let mut outcomes = Vec::new();
    let mut groups: Vec<(Address, Vec<Report>)> = Vec::new();
    for report in recipients.into_iter().filter_map(Report::of) {
        outcomes.push(RecipientUpdate { recipient: report.recipient.id, what: Update::Done });
        let Some(to) = sender(&message, &report.recipient).cloned() else { continue };
        match groups.iter_mut().find(|(known, _)| *known == to) {
            Some((_, group)) => group.push(report),
            None => groups.push((to, vec![report])),
        }
    }
    if outcomes.is_empty() {
        return Ok(true);
    }
    let snapshot = parts.in_force.load_full();
    let mut notices: Vec<NewMessage> = Vec::new();
    for (to, reports) in &groups {
        notices.push(bounce::notice(&parts.spool, &snapshot, &message, to, reports).await?);
    }
    Ok(queue.record(&message, outcomes, notices).await)
}
