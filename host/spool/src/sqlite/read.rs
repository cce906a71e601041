//! The reads: each is one short transaction of its own, by key or by index, at most a page long.

use std::path::Path;

use bytes::Bytes;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codec::{self, Unreadable};
use super::failure::read_failed;
use crate::{
    Body, Client, Destination, Due, DueRecipient, Message, MessageHead, MessageId, QueueId,
    Recipient, RecipientHead, RecipientId, SpoolError, Summary, SummaryRecipient, Timestamp,
};

/// The recipients of one message that a listing shows.
const LISTED_RECIPIENTS: i64 = 1_000;

const RECIPIENT: &str = "SELECT id, address, original, orcpt, notify, sender, target, tags, class, \
 refusal, state, \
    next_try, attempts, last_reply, remote FROM recipient";

/// The recipient domains from the first parameter on.
pub(super) const DESTINATIONS: &str =
    "SELECT domain, min(next_try) FROM recipient INDEXED BY recipient_due
    WHERE state = 'queued' AND domain >= ?1 GROUP BY domain ORDER BY domain LIMIT ?2";

/// The recipients of a domain after a cursor, the longest waiting first.
pub(super) const DUE: &str = "SELECT id, next_try FROM recipient INDEXED BY recipient_due
    WHERE state = 'queued' AND domain = ?1 AND (next_try, id) > (?2, ?3) ORDER BY next_try, id \
    LIMIT ?4";

/// The message, with the recipients asked for (all where none are named).
pub(super) fn load(
    connection: &Connection,
    bodies: &Path,
    queue_id: QueueId,
    wanted: Option<&[RecipientId]>,
) -> Result<Option<Message>, SpoolError> {
    // One snapshot for the message and its recipients.
    let transaction = connection.unchecked_transaction().map_err(read_failed)?;
    let mut select = transaction
        .prepare_cached(
            "SELECT id, received_at, size, sender, client_address, client_name, client_helo, \
             client_protocol,
                client_login, utf8, eight_bit, ret, envid, tags, reason, file, header, body
            FROM message WHERE queue_id = ?1",
        )
        .map_err(read_failed)?;
    let corrupt = |reason: Unreadable| SpoolError::Corrupt { queue_id, reason: reason.into() };
    let message = select
        .query_row([queue_id.key()], |row| Ok(message(row, bodies, queue_id)))
        .optional()
        .map_err(read_failed)?;
    let Some(message) = message else { return Ok(None) };
    let mut message = message.map_err(corrupt)?;
    let mut add =
        |row: &Row<'_>| Ok(recipient(row).map(|recipient| message.recipients.push(recipient)));
    match wanted {
        None => {
            let mut select = transaction
                .prepare_cached(&format!("{RECIPIENT} WHERE id BETWEEN ?1 AND ?2 ORDER BY id"))
                .map_err(read_failed)?;
            for added in select.query_map(queue_id.recipient_keys(), add).map_err(read_failed)? {
                added.map_err(read_failed)?.map_err(corrupt)?;
            }
        }
        Some(wanted) => {
            let mut select = transaction
                .prepare_cached(&format!("{RECIPIENT} WHERE id = ?1"))
                .map_err(read_failed)?;
            for id in wanted.iter().filter(|id| id.message() == queue_id) {
                let added =
                    select.query_row([id.key()], &mut add).optional().map_err(read_failed)?;
                added.transpose().map_err(corrupt)?;
            }
        }
    }
    Ok(Some(message))
}

fn message(row: &Row<'_>, bodies: &Path, queue_id: QueueId) -> Result<Message, Unreadable> {
    let mut columns = Columns { row, next: 0 };
    let id: [u8; 16] = columns.take("id")?;
    let received_at = Timestamp::from_key(columns.take("received_at")?);
    let size = columns.take::<i64>("size")?;
    let size = u64::try_from(size).map_err(|_| format!("the size {size}"))?;
    let sender = codec::sender(columns.text("sender")?)?;
    let client = Client {
        address: columns.take("client_address")?,
        name: columns.take("client_name")?,
        helo: columns.take("client_helo")?,
        protocol: columns.take("client_protocol")?,
        login: columns.take("client_login")?,
    };
    let utf8 = columns.take("utf8")?;
    let eight_bit = columns.take("eight_bit")?;
    let ret = columns.optional_text("ret")?.map(codec::ret).transpose()?;
    let envid = columns.take("envid")?;
    let tags = codec::tags(columns.optional_text("tags")?)?;
    let reason = columns.take("reason")?;
    let file: Option<String> = columns.take("file")?;
    let header = Bytes::copy_from_slice(columns.blob("header")?);
    let body = match file {
        None => Body::Memory(Bytes::copy_from_slice(columns.blob("body")?)),
        Some(name) => body_file(bodies, &name, size.saturating_sub(header.len() as u64))?,
    };
    let found = header.len() as u64 + body.size();
    if found != size {
        return Err(format!("its header and body have {found} octets instead of {size}"));
    }
    let id = MessageId::from_bytes(id);
    let head = MessageHead {
        id,
        queue_id,
        sender,
        received_at,
        header,
        client,
        utf8,
        eight_bit,
        ret,
        envid,
        tags,
    };
    Ok(Message { head, size, body, reason, recipients: Vec::new() })
}

/// A file that isn't there is damage. One that can't be looked at now (no descriptor is free, say)
/// is believed, and opening it will say what is wrong.
fn body_file(bodies: &Path, name: &str, expected: u64) -> Result<Body, Unreadable> {
    let path = bodies.join(name);
    let size = match std::fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("its body file {} is gone", path.display()));
        }
        Err(_) => expected,
    };
    Ok(Body::File { path: path.into(), size })
}

fn recipient(row: &Row<'_>) -> Result<Recipient, Unreadable> {
    let mut columns = Columns { row, next: 0 };
    let id = RecipientId::from_key(columns.take("id")?);
    let address = codec::address(columns.text("address")?)?;
    let original = match columns.optional_text("original")? {
        Some(original) => codec::address(original)?,
        None => address.clone(),
    };
    let head = RecipientHead {
        address,
        original,
        orcpt: columns.take("orcpt")?,
        notify: columns.optional_text("notify")?.map(codec::notify).transpose()?,
        sender: columns.optional_text("sender")?.map(codec::sender).transpose()?,
        target: codec::target(columns.text("target")?)?,
        tags: codec::tags(columns.optional_text("tags")?)?,
        class: columns.take("class")?,
        refusal: columns.optional_text("refusal")?.map(codec::reply).transpose()?,
    };
    Ok(Recipient {
        id,
        head,
        state: codec::state(columns.text("state")?)?,
        next_try: Timestamp::from_key(columns.take("next_try")?),
        attempts: columns.take("attempts")?,
        last_reply: columns.optional_text("last_reply")?.map(codec::reply).transpose()?,
        remote: columns.take("remote")?,
    })
}

/// The columns of a row, one after the other; the name is for the error.
struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Columns<'a> {
    fn value(&mut self, name: &str) -> Result<rusqlite::types::ValueRef<'a>, Unreadable> {
        let value =
            self.row.get_ref(self.next).map_err(|error| format!("the column {name}: {error}"))?;
        self.next += 1;
        Ok(value)
    }

    fn take<T: FromSql>(&mut self, name: &str) -> Result<T, Unreadable> {
        T::column_result(self.value(name)?).map_err(|error| format!("the column {name}: {error}"))
    }

    fn text(&mut self, name: &str) -> Result<&'a str, Unreadable> {
        self.value(name)?.as_str().map_err(|error| format!("the column {name}: {error}"))
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<&'a str>, Unreadable> {
        self.value(name)?.as_str_or_null().map_err(|error| format!("the column {name}: {error}"))
    }

    fn blob(&mut self, name: &str) -> Result<&'a [u8], Unreadable> {
        self.value(name)?.as_blob().map_err(|error| format!("the column {name}: {error}"))
    }
}

pub(super) fn destinations(
    connection: &Connection,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Destination>, SpoolError> {
    // The first text after another is that with a zero octet.
    let from = after.map_or_else(String::new, |domain| format!("{domain}\0"));
    connection
        .prepare_cached(DESTINATIONS)
        .and_then(|mut select| {
            select
                .query_map(params![from, limit as i64], |row| {
                    Ok(Destination {
                        domain: row.get(0)?,
                        next_try: Timestamp::from_key(row.get(1)?),
                    })
                })?
                .collect()
        })
        .map_err(read_failed)
}

/// The messages with recipients that have ended. There are few, and it is asked once for a start:
/// an index would cost each write.
pub(super) fn untold(connection: &Connection) -> Result<Vec<QueueId>, SpoolError> {
    let words = crate::End::ALL.map(|end| format!("'{}'", end.as_str())).join(", ");
    let sql = format!("SELECT DISTINCT id >> 20 FROM recipient WHERE state IN ({words})");
    let select = connection.prepare(&sql).and_then(|mut select| {
        select.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()
    });
    let keys = select.map_err(read_failed)?;
    Ok(keys.into_iter().filter_map(QueueId::from_key).collect())
}

pub(super) fn due(
    connection: &Connection,
    domain: &str,
    now: Timestamp,
    after: Option<(Timestamp, RecipientId)>,
    limit: usize,
) -> Result<Due, SpoolError> {
    let (time, id) = after.map_or((-1, -1), |(time, id)| (time.key(), id.key()));
    let read = |mut select: rusqlite::CachedStatement<'_>| {
        let mut due = Due { recipients: Vec::new(), next: None };
        let mut rows = select.query(params![domain, time, id, limit as i64 + 1])?;
        while let Some(row) = rows.next()? {
            let id = RecipientId::from_key(row.get(0)?);
            let next_try = Timestamp::from_key(row.get(1)?);
            if next_try > now || due.recipients.len() == limit {
                due.next = Some(next_try);
                break;
            }
            due.recipients.push(DueRecipient { id, message: id.message(), next_try });
        }
        Ok(due)
    };
    connection.prepare_cached(DUE).and_then(read).map_err(read_failed)
}

pub(super) fn list(
    connection: &Connection,
    after: Option<QueueId>,
    limit: usize,
) -> Result<Vec<Summary>, SpoolError> {
    let transaction = connection.unchecked_transaction().map_err(read_failed)?;
    let summaries = transaction
        .prepare_cached(
            "SELECT queue_id, received_at, size, sender, reason FROM message
            WHERE queue_id > ?1 ORDER BY queue_id LIMIT ?2",
        )
        .and_then(|mut select| {
            select
                .query_map(params![after.map_or(-1, QueueId::key), limit as i64], |row| {
                    summary(&transaction, row)
                })?
                .collect()
        });
    summaries.map_err(read_failed)
}

fn summary(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Summary> {
    let key = row.get(0)?;
    let queue_id =
        QueueId::from_key(key).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, key))?;
    let (first, last) = queue_id.recipient_keys();
    let recipients = connection
        .prepare_cached(
            "SELECT address, state, next_try, attempts, last_reply, remote FROM recipient
            WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
        )?
        .query_map([first, last, LISTED_RECIPIENTS], |row| {
            Ok(SummaryRecipient {
                address: row.get(0)?,
                state: row.get(1)?,
                next_try: Timestamp::from_key(row.get(2)?),
                attempts: row.get(3)?,
                last_reply: row.get(4)?,
                remote: row.get(5)?,
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut recipient_count = recipients.len() as u64;
    if recipient_count == LISTED_RECIPIENTS as u64 {
        recipient_count = connection
            .prepare_cached("SELECT count(*) FROM recipient WHERE id BETWEEN ?1 AND ?2")?
            .query_row([first, last], |row| row.get::<_, i64>(0))? as u64;
    }
    Ok(Summary {
        queue_id,
        received_at: Timestamp::from_key(row.get(1)?),
        size: row.get::<_, i64>(2)?.try_into().unwrap_or(0),
        sender: row.get(3)?,
        reason: row.get(4)?,
        recipients,
        recipient_count,
    })
}

pub(super) fn files(
    connection: &Connection,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, SpoolError> {
    connection
        .prepare_cached("SELECT file FROM message WHERE file > ?1 ORDER BY file LIMIT ?2")
        .and_then(|mut select| {
            select.query_map(params![after, limit as i64], |row| row.get(0))?.collect()
        })
        .map_err(read_failed)
}
