//! `Delivered-To:`, by which mail that comes back is known: it names a mailbox that the message was
//! put into, or an alias of this machine that it was sent on by.

use std::collections::HashSet;
use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use facteur_smtp::{Address, Fields, Reply, status};
use facteur_spool::{Body, Message};

/// Whom the headers of a message say that it was delivered to.
pub(crate) struct DeliveredTo(HashSet<String>);

impl DeliveredTo {
    /// What these headers say: those put before the content, and those that it begins with.
    pub(crate) fn of(header: &[u8], start: &[u8]) -> Self {
        let fields = Fields::new(header).chain(Fields::new(start));
        let values = fields.filter(|field| field.is("delivered-to")).filter_map(|field| {
            let value = std::str::from_utf8(field.value.trim_ascii()).ok()?;
            Some(facteur_smtp::key(value).into_owned())
        });
        Self(values.collect())
    }

    /// Whether this address, quoted or not, is among them.
    pub(crate) fn names(&self, address: &Address) -> bool {
        [&address.wire(), address.as_unquoted()]
            .into_iter()
            .any(|form| self.0.contains(&*facteur_smtp::key(form)))
    }
}

/// The refusal of mail that was delivered to this address before.
pub(crate) fn refusal(address: &Address) -> Reply {
    Reply::new(
        554,
        status::ROUTING_LOOP,
        format!("mail forwarding loop for {}", address.as_unquoted()),
    )
}

/// Headers are no longer than this: a message with longer ones is refused.
const HEADERS_LOOKED_AT: usize = 1024 * 1024;

/// The reply if the message was delivered to one of these addresses before.
pub(super) async fn looping<'a>(
    message: &Message,
    addresses: impl IntoIterator<Item = &'a Address>,
) -> Option<Reply> {
    let addresses: Vec<&Address> = addresses.into_iter().collect();
    if addresses.is_empty() {
        return None;
    }
    let start = match start(&message.body).await {
        Ok(start) => start,
        Err(error) => {
            let text = format!("the message can't be read from the queue: {error}");
            return Some(Reply::new(451, status::SYSTEM, text));
        }
    };
    let delivered = DeliveredTo::of(&message.header, &start);
    addresses.into_iter().find(|address| delivered.names(address)).map(refusal)
}

/// The message as it is sent on by an alias: its name stands before all others.
pub(super) fn sent_on_by(alias: &Address, message: &Message) -> Message {
    let line = format!("Delivered-To: {}\r\n", alias.wire());
    let mut header = BytesMut::with_capacity(line.len() + message.header.len());
    header.put_slice(line.as_bytes());
    header.put_slice(&message.header);
    let mut sent_on = message.clone();
    sent_on.header = header.freeze();
    sent_on.size += line.len() as u64;
    sent_on
}

async fn start(body: &Body) -> io::Result<Bytes> {
    body.open().await?.read_at(0, HEADERS_LOOKED_AT).await
}
