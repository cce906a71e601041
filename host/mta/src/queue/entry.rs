//! A message that enters the queue: as the store will give it back, and the line in the log about
//! it.

use facteur_smtp::Address;
use facteur_spool::{
    Message, NewMessage, Queued, Recipient, RecipientHead, RecipientId, RecipientState,
};

/// One line for each message that enters the queue; the span names the session that it came by.
pub fn log_queued(message: &Message, queued: &Queued) {
    tracing::info!(
        id = %queued.queue_id,
        from = %shown(message.sender.as_ref()),
        size = message.size,
        nrcpt = message.recipients.len(),
        client = message.client.address,
        "queued"
    );
}

/// The message as the store will give it back, but for the names that the store gives.
pub fn as_stored(new: &NewMessage) -> Message {
    let stored = |one: &RecipientHead| Recipient {
        // Replaced by `with_ids`: a message that was never stored is never tried.
        id: RecipientId::default(),
        head: one.clone(),
        state: RecipientState::Queued,
        next_try: new.received_at,
        attempts: 0,
        last_reply: None,
        remote: None,
    };
    Message {
        head: new.head.clone(),
        size: new.header.len() as u64 + new.body.size(),
        body: new.body.body().clone(),
        reason: new.hold.as_ref().map(|hold| hold.reason().to_owned()),
        recipients: new.recipients.iter().map(stored).collect(),
    }
}

/// The same with the names that the store gave.
pub fn with_ids(mut message: Message, queued: &Queued) -> Message {
    message.queue_id = queued.queue_id;
    for (recipient, id) in message.recipients.iter_mut().zip(&queued.recipients) {
        recipient.id = *id;
    }
    message
}

/// An envelope sender as the log has it.
pub(crate) fn shown(sender: Option<&Address>) -> String {
    sender.map_or_else(|| "<>".to_owned(), |sender| format!("<{sender}>"))
}
