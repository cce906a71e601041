//! A message that enters the queue: as the store will give it back, and the line in the log about it.

use facteur_smtp::Address;
use facteur_spool::{Message, NewMessage, NewRecipient, Queued, Recipient, RecipientId, State};

/// One line for each message that enters the queue; the session is the one that it came by.
pub fn log_queued(message: &Message, queued: &Queued, session: Option<&str>) {
    tracing::info!(
        id = %queued.queue_id, session, from = %shown(message.sender.as_ref()), size = message.size, nrcpt = message.recipients.len(),
        client = message.client.address, "queued"
    );
}

/// The message as the store will give it back, but for the names that the store gives.
pub fn as_stored(new: &NewMessage) -> Message {
    let stored = |one: &NewRecipient| Recipient {
        // Replaced by `with_ids`: a message that was never stored is never tried.
        id: RecipientId::default(),
        address: one.address.clone(),
        original: one.original.clone(),
        orcpt: one.orcpt.clone(),
        notify: one.notify,
        sender: one.sender.clone(),
        target: one.target,
        tags: one.tags.clone(),
        class: one.class.clone(),
        refusal: one.refusal.clone(),
        state: State::Queued,
        next_try: new.received_at,
        attempts: 0,
        last_reply: None,
        remote: None,
    };
    Message {
        queue_id: new.queue_id,
        id: new.id,
        sender: new.sender.clone(),
        received_at: new.received_at,
        size: new.header.len() as u64 + new.body.size(),
        header: new.header.clone(),
        body: new.body.body().clone(),
        client: new.client.clone(),
        utf8: new.utf8,
        eight_bit: new.eight_bit,
        ret: new.ret,
        envid: new.envid.clone(),
        tags: new.tags.clone(),
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
