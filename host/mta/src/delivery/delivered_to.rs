//! `Delivered-To:`, by which mail that comes back is known: it names a mailbox that the message was
//! put into, or an alias of this machine that it was sent on by.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use facteur_smtp::{Address, Fields, Reply};
use facteur_spool::{Body, Message};

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
            return Some(Reply::new(451, "4.3.0", text));
        }
    };
    let address = addresses.into_iter().find(|address| names(&message.header, &start, address))?;
    Some(Reply::new(554, "5.4.6", format!("mail forwarding loop for {}", address.as_unquoted())))
}

/// The message as it is sent on by an alias: its name stands before all others.
pub(super) fn sent_on_by(alias: &Address, message: &Message) -> Message {
    let line = format!("Delivered-To: {}\r\n", alias.wire());
    let mut header = BytesMut::with_capacity(line.len() + message.header.len());
    header.put_slice(line.as_bytes());
    header.put_slice(&message.header);
    Message { size: message.size + line.len() as u64, header: header.freeze(), ..message.clone() }
}

async fn start(body: &Body) -> io::Result<Bytes> {
    body.open().await?.read_at(0, HEADERS_LOOKED_AT).await
}

/// Whether a Delivered-To: with this address, quoted or not, is among the headers.
fn names(header: &[u8], start: &[u8], address: &Address) -> bool {
    let known =
        [&address.wire(), address.as_unquoted()].map(|one| facteur_smtp::key(one).into_owned());
    Fields::new(header).chain(Fields::new(start)).any(|field| {
        field.is("delivered-to")
            && std::str::from_utf8(field.value.trim_ascii())
                .is_ok_and(|value| known.iter().any(|one| *one == facteur_smtp::key(value)))
    })
}
