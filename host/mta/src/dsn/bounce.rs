//! Tells a sender what became of a message: how much of the original goes back, and where the
//! notice goes.
//!
//! Who is told, and when, is the queue's. What a notice says is [`crate::dsn::notice`]'s. The
//! notice's own recipient is expanded like any other; no restriction is asked about it.

use std::sync::Arc;

use bytes::BytesMut;
use facteur_smtp::{Address, Fields, Notify, Ret};
use facteur_spool::{
    Client, Message, MessageHead, MessageId, NewMessage, Spool, SpoolError, Timestamp,
};
use jiff::tz::TimeZone;

use super::notice::{Notice, Returned};
use super::report::{Action, Report};
use crate::recipient;
use crate::snapshot::Snapshot;

/// The original goes back up to this many octets; of a larger one only its headers, up to as many
/// (Postfix: bounce_size_limit).
const RETURNED_AT_MOST: u64 = 50_000;

/// Why the sender can't be told now.
#[derive(Debug, thiserror::Error)]
pub enum BounceError {
    /// The original.
    #[error("the message can't be read: {0}")]
    Read(#[from] std::io::Error),
    /// The store.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// The notice for `sender`, the envelope sender of all these recipients.
///
/// # Errors
/// It can't be made now: don't forget the recipients, and tell the sender later.
pub async fn notice(
    spool: &Spool,
    snapshot: &Snapshot,
    message: &Message,
    sender: &Address,
    reports: &[Report],
) -> Result<NewMessage, BounceError> {
    let now = Timestamp::now();
    let id = MessageId::random().map_err(SpoolError::from)?;
    let failed = reports.iter().any(|report| report.action == Action::Failed);
    let written = Notice {
        hostname: &snapshot.config.hostname,
        origin: &facteur_smtp::ascii_domain(snapshot.config.domains.origin()),
        now,
        zone: &TimeZone::system(),
        id: &id.to_string(),
        to: sender,
        message,
        reports,
        returned: returned(message, failed).await?,
    }
    .write();
    let mut body = spool.body();
    body.write(written.content).await?;
    let resolved = snapshot.policy.resolve(sender.clone(), &Arc::default()).await;
    let head = MessageHead {
        client: Client { name: "localhost".into(), ..Client::default() },
        utf8: written.utf8,
        eight_bit: written.eight_bit,
        ..MessageHead::new(id, spool.queue_id(), now)
    };
    Ok(NewMessage {
        head,
        body: body.finish().await?,
        hold: None,
        // RFC 3461 section 6.2: nobody is told what becomes of a notice.
        recipients: resolved
            .into_iter()
            .map(|one| recipient::new(one, Some(Notify::NEVER), None))
            .collect(),
    })
}

/// What goes back: a failure brings the whole message unless the sender asked for less, or it is
/// large; anything else its headers.
async fn returned(message: &Message, failed: bool) -> std::io::Result<Returned> {
    let whole = failed && message.ret != Some(Ret::Headers) && message.size <= RETURNED_AT_MOST;
    let mut content = BytesMut::from(&message.header[..]);
    let mut reader = message.body.open().await?;
    while let Some(chunk) = reader.next().await? {
        content.extend_from_slice(&chunk);
        let has_enough = content.len() as u64 > RETURNED_AT_MOST;
        if !whole && (has_enough || Fields::new(&content).body().is_some()) {
            break;
        }
    }
    if whole {
        return Ok(Returned::Whole(content.freeze()));
    }
    let headers = Fields::new(&content).take_while(|field| field.end as u64 <= RETURNED_AT_MOST);
    let end = headers.last().map_or(0, |last| last.end);
    content.truncate(end);
    Ok(Returned::Headers(content.freeze()))
}
