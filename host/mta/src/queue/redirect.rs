//! The message for those who get it in the place of others: the same content, with a queue id of
//! its own.
//!
//! It is stored in the same commit in which the others are done, so that nobody is lost between the
//! two. It keeps the age of the first: a redirection gives no new lifetime.

use std::collections::HashSet;

use facteur_spool::{
    Message, MessageHead, MessageId, NewMessage, RecipientHead, Spool, SpoolError,
};

/// Why it can't be made now.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The original.
    #[error("the message can't be read: {0}")]
    Read(#[from] std::io::Error),
    /// The store.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// The message for these, each once; none if there are none.
///
/// # Errors
/// It can't be made now: don't forget those in whose place they get it.
pub async fn message(
    spool: &Spool,
    of: &Message,
    mut recipients: Vec<RecipientHead>,
) -> Result<Option<NewMessage>, RedirectError> {
    let mut seen = HashSet::new();
    recipients.retain(|one| one.refusal.is_some() || seen.insert(one.address.clone()));
    if recipients.is_empty() {
        return Ok(None);
    }
    let mut body = spool.body();
    let mut reader = of.body.open().await?;
    while let Some(chunk) = reader.next().await? {
        body.write(chunk).await?;
    }
    let id = MessageId::random().map_err(SpoolError::from)?;
    let head = MessageHead { id, queue_id: spool.queue_id(), ..of.head.clone() };
    Ok(Some(NewMessage { head, body: body.finish().await?, hold: None, recipients }))
}
