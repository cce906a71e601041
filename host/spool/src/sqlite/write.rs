//! The writes: a batch of them is one transaction.

use std::time::Duration;

use facteur_smtp::Ret;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::codec;
use super::failure::{is_busy, write_failed};
use crate::id::MAX_RECIPIENTS;
use crate::store::{Applied, CHANGE_PAGE, Change, Pick, Write, Written};
use crate::{
    Hold, NewMessage, QueueId, Queued, RecipientHead, RecipientId, RecipientState, RecipientUpdate,
    SpoolError, Update,
};

/// How long to wait for another process that holds the database, before saying so and waiting
/// again.
const BUSY_PATIENCE: Duration = Duration::from_secs(10);
/// The largest header, in octets, that goes before a body. SQLite would take 1 GB.
const MAX_HEADER: usize = 16 << 20;

/// The connection that writes.
pub(super) struct Writer {
    connection: Connection,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// All of the batch in one commit. A write that is refused is answered so, and the others are
    /// done again without it: that is rare, and so costs the usual case no savepoints.
    pub(super) fn apply(&mut self, batch: &[Write]) -> Result<Applied, SpoolError> {
        let mut refused: Vec<Option<SpoolError>> =
            batch.iter().map(|write| validate(write).err()).collect();
        'again: loop {
            self.begin()?;
            let mut applied = Applied::default();
            for (index, write) in batch.iter().enumerate() {
                let answer = match &refused[index] {
                    Some(error) => Err(error.clone()),
                    None => match self.write(write, &mut applied.unlink) {
                        Ok(written) => Ok(written),
                        Err(error @ SpoolError::Refused(_)) => {
                            self.roll_back();
                            refused[index] = Some(error);
                            continue 'again;
                        }
                        Err(error) => {
                            self.roll_back();
                            return Err(error);
                        }
                    },
                };
                applied.answers.push(answer);
            }
            return match self.execute("COMMIT") {
                Ok(()) => Ok(applied),
                Err(error) => {
                    self.roll_back();
                    Err(match error {
                        SpoolError::Full => SpoolError::Full,
                        error => SpoolError::fatal(error.to_string()),
                    })
                }
            };
        }
    }

    /// Gives up to so many unused pages back; whether there are more.
    pub(super) fn reclaim(&mut self, pages: u32) -> Result<bool, SpoolError> {
        let free = |connection: &Connection| {
            connection
                .query_row("PRAGMA freelist_count", [], |row| row.get::<_, u32>(0))
                .map_err(write_failed)
        };
        if free(&self.connection)? == 0 {
            return Ok(false);
        }
        self.connection
            .execute_batch(&format!("PRAGMA incremental_vacuum({pages})"))
            .map_err(write_failed)?;
        Ok(free(&self.connection)? > 0)
    }

    /// Takes the write lock. Within the process nobody else does; an operator's sqlite3 may, and is
    /// waited for.
    fn begin(&self) -> Result<(), SpoolError> {
        loop {
            self.connection.busy_timeout(BUSY_PATIENCE).map_err(write_failed)?;
            match self
                .connection
                .prepare_cached("BEGIN IMMEDIATE")
                .and_then(|mut begin| begin.execute([]))
            {
                Ok(_) => return Ok(()),
                Err(error) if is_busy(&error) => {
                    tracing::error!(
                        "another program holds the spool's database open for writing; mail waits \
                         until it is closed"
                    );
                }
                Err(error) => return Err(write_failed(error)),
            }
        }
    }

    /// After some errors SQLite has rolled back by itself. If it can't, the next BEGIN says so.
    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "the spool can't roll back");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), SpoolError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(write_failed)?;
        Ok(())
    }

    fn write(&mut self, write: &Write, unlink: &mut Vec<String>) -> Result<Written, SpoolError> {
        match write {
            Write::Insert(message) => Ok(Written::Queued(vec![self.insert(message)?])),
            Write::Record { outcomes, notices } => {
                for outcome in outcomes {
                    record(&self.connection, outcome, unlink).map_err(write_failed)?;
                }
                notices
                    .iter()
                    .map(|notice| self.insert(notice))
                    .collect::<Result<_, _>>()
                    .map(Written::Queued)
            }
            Write::Change { change, pick } => {
                self.change(change, *pick, unlink).map_err(write_failed)
            }
            Write::Corrupt { queue_id, reason } => {
                let (first, last) = queue_id.recipient_keys();
                let connection = &self.connection;
                // What has ended stays so: it must not be tried again when this is released.
                for from in
                    [RecipientState::Queued, RecipientState::Hold, RecipientState::Quarantine]
                {
                    set_state(connection, RecipientState::Corrupt, from, first, last)
                        .map_err(write_failed)?;
                }
                set_reason(connection, *queue_id, Some(reason)).map_err(write_failed)?;
                Ok(Written::Done)
            }
        }
    }

    fn insert(&self, message: &NewMessage) -> Result<Queued, SpoolError> {
        let Some(queue_id) = self.insert_message(message)? else {
            return duplicate(&self.connection, message).map_err(write_failed);
        };
        let state = message.hold.as_ref().map_or(RecipientState::Queued, Hold::state);
        let mut recipients = Vec::with_capacity(message.recipients.len());
        for (index, recipient) in message.recipients.iter().enumerate() {
            let id = queue_id.recipient(index);
            insert_recipient(&self.connection, id, recipient, state, message.received_at.key())
                .map_err(write_failed)?;
            recipients.push(id);
        }
        Ok(Queued { queue_id, recipients, duplicate: false })
    }

    /// The queue id under which the message was stored; none if it is there already.
    fn insert_message(&self, message: &NewMessage) -> Result<Option<QueueId>, SpoolError> {
        let mut insert = self
            .connection
            .prepare_cached(
                "INSERT INTO message (queue_id, id, received_at, size, sender, client_address, \
                 client_name,
                    client_helo, client_protocol, client_login, utf8, eight_bit, ret, envid, tags, \
                    reason, file,
                    header, body)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
                ?17, ?18, ?19)",
            )
            .map_err(write_failed)?;
        let body = match message.body.body() {
            crate::Body::Memory(bytes) => Some(&bytes[..]),
            crate::Body::File { .. } => None,
        };
        let mut queue_id = message.queue_id;
        loop {
            let client = &message.client;
            let inserted = insert.execute(params![
                queue_id.key(),
                &message.id.as_bytes()[..],
                message.received_at.key(),
                i64::try_from(message.header.len() as u64 + message.body.size())
                    .unwrap_or(i64::MAX),
                codec::sender_text(message.sender.as_ref()),
                client.address,
                client.name,
                client.helo,
                client.protocol,
                client.login,
                message.utf8,
                message.eight_bit,
                message.ret.map(Ret::as_str),
                message.envid,
                codec::tags_text(&message.tags),
                message.hold.as_ref().map(Hold::reason),
                message.body.file(),
                &message.header[..],
                body,
            ]);
            match inserted {
                Ok(_) => return Ok(Some(queue_id)),
                Err(error) if conflicts(&error, rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                    queue_id = queue_id.next();
                }
                Err(error) if conflicts(&error, rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) => {
                    return Ok(None);
                }
                Err(error) => return Err(write_failed(error)),
            }
        }
    }

    fn change(
        &self,
        change: &Change,
        pick: Pick,
        unlink: &mut Vec<String>,
    ) -> rusqlite::Result<Written> {
        let connection = &self.connection;
        let picked: Vec<i64> = match pick {
            Pick::Message(queue_id) => vec![queue_id.key()],
            Pick::After(after) => connection
                .prepare_cached(
                    "SELECT queue_id FROM message WHERE queue_id > ?1 ORDER BY queue_id LIMIT ?2",
                )?
                .query_map(params![after.map_or(-1, QueueId::key), CHANGE_PAGE as i64], |row| {
                    row.get(0)
                })?
                .collect::<Result<_, _>>()?,
        };
        let mut messages = 0;
        let picked = || picked.iter().filter_map(|key| QueueId::from_key(*key));
        for queue_id in picked() {
            messages += u64::from(change_message(connection, change, queue_id, unlink)?);
        }
        let more_after = match pick {
            Pick::After(_) if picked().count() == CHANGE_PAGE => picked().next_back(),
            _ => None,
        };
        Ok(Written::Changed { messages, more_after })
    }
}

/// What can be known to fail is refused before the transaction.
fn validate(write: &Write) -> Result<(), SpoolError> {
    for message in write.messages() {
        if message.recipients.is_empty() {
            return Err(SpoolError::Refused("a message without recipients".into()));
        }
        if message.recipients.len() > MAX_RECIPIENTS {
            return Err(SpoolError::TooLarge(
                format!("more than {MAX_RECIPIENTS} recipients").into(),
            ));
        }
        if message.header.len() > MAX_HEADER {
            return Err(SpoolError::TooLarge(
                format!("more than {MAX_HEADER} octets before the body").into(),
            ));
        }
    }
    Ok(())
}

fn conflicts(error: &rusqlite::Error, constraint: std::ffi::c_int) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _)
        if failure.code == ErrorCode::ConstraintViolation && failure.extended_code == constraint)
}

/// What stands under this message's id already.
fn duplicate(connection: &Connection, message: &NewMessage) -> rusqlite::Result<Queued> {
    let key = connection
        .prepare_cached("SELECT queue_id FROM message WHERE id = ?1")?
        .query_row([&message.id.as_bytes()[..]], |row| row.get(0))?;
    let queue_id =
        QueueId::from_key(key).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, key))?;
    let recipients = connection
        .prepare_cached("SELECT id FROM recipient WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?
        .query_map(queue_id.recipient_keys(), |row| row.get(0).map(RecipientId::from_key))?
        .collect::<Result<_, _>>()?;
    Ok(Queued { queue_id, recipients, duplicate: true })
}

fn insert_recipient(
    connection: &Connection,
    id: RecipientId,
    recipient: &RecipientHead,
    state: RecipientState,
    next_try: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO recipient (id, address, domain, state, next_try, attempts, original, \
             orcpt, notify, sender,
                target, tags, class, refusal)
            VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            id.key(),
            recipient.address.to_string(),
            recipient.address.domain(),
            state.as_str(),
            next_try,
            (recipient.original != recipient.address).then(|| recipient.original.to_string()),
            recipient.orcpt,
            recipient.notify.map(|notify| notify.to_string()),
            recipient.sender.as_ref().map(|sender| codec::sender_text(sender.as_ref())),
            codec::target_text(recipient.target),
            codec::tags_text(&recipient.tags),
            recipient.class,
            recipient.refusal.as_ref().map(codec::reply_text),
        ])?;
    Ok(())
}

fn record(
    connection: &Connection,
    outcome: &RecipientUpdate,
    unlink: &mut Vec<String>,
) -> rusqlite::Result<()> {
    match &outcome.what {
        Update::Deferred { next_try, reply, remote } => {
            connection
                .prepare_cached(
                    "UPDATE recipient SET next_try = ?2, attempts = attempts + 1, last_reply = ?3, \
                     remote = ?4
                    WHERE id = ?1",
                )?
                .execute(params![outcome.recipient.key(), next_try.key(), codec::reply_text(reply), remote])?;
        }
        Update::Ended { end, reply, remote } => {
            connection
                .prepare_cached(
                    "UPDATE recipient SET state = ?2, last_reply = ?3, remote = ?4 WHERE id = ?1",
                )?
                .execute(params![
                    outcome.recipient.key(),
                    RecipientState::Ended(*end).as_str(),
                    codec::reply_text(reply),
                    remote
                ])?;
        }
        Update::Done => {
            let gone = connection
                .prepare_cached("DELETE FROM recipient WHERE id = ?1")?
                .execute([outcome.recipient.key()])?;
            let queue_id = outcome.recipient.message();
            let left = connection
                .prepare_cached("SELECT 1 FROM recipient WHERE id BETWEEN ?1 AND ?2 LIMIT 1")?
                .exists(queue_id.recipient_keys())?;
            if gone > 0 && !left {
                delete_message(connection, queue_id, unlink)?;
            }
        }
    }
    Ok(())
}

/// Whether there was one.
fn delete_message(
    connection: &Connection,
    queue_id: QueueId,
    unlink: &mut Vec<String>,
) -> rusqlite::Result<bool> {
    let file = connection
        .prepare_cached("DELETE FROM message WHERE queue_id = ?1 RETURNING file")?
        .query_row([queue_id.key()], |row| row.get::<_, Option<String>>(0))
        .optional()?;
    let found = file.is_some();
    unlink.extend(file.flatten());
    Ok(found)
}

/// Whether anything of the message was changed.
fn change_message(
    connection: &Connection,
    change: &Change,
    queue_id: QueueId,
    unlink: &mut Vec<String>,
) -> rusqlite::Result<bool> {
    let (first, last) = queue_id.recipient_keys();
    let changed = match change {
        Change::Hold { reason } => {
            let changed =
                set_state(connection, RecipientState::Hold, RecipientState::Queued, first, last)?;
            if changed > 0 {
                set_reason(connection, queue_id, Some(reason))?;
            }
            changed
        }
        Change::Release { quarantine } => {
            let mut changed = 0;
            for from in [RecipientState::Hold, RecipientState::Corrupt, RecipientState::Quarantine]
            {
                if from != RecipientState::Quarantine || *quarantine {
                    changed += set_state(connection, RecipientState::Queued, from, first, last)?;
                }
            }
            if changed > 0 {
                set_reason(connection, queue_id, None)?;
            }
            changed
        }
        Change::Flush { now } => connection
            .prepare_cached(
                "UPDATE recipient SET next_try = ?3
                WHERE id BETWEEN ?1 AND ?2 AND state = 'queued' AND next_try > ?3",
            )?
            .execute([first, last, now.key()])?,
        Change::Earlier { by, now } => {
            let (by, now) = (i64::try_from(by.as_millis()).unwrap_or(i64::MAX), now.key());
            let received = connection
                .prepare_cached(
                    "UPDATE message SET received_at = ?2 WHERE queue_id = ?1 AND received_at > ?2",
                )?
                .execute([queue_id.key(), now])?;
            received
                + connection
                    .prepare_cached(
                        "UPDATE recipient SET next_try = max(?3, next_try - ?4)
                        WHERE id BETWEEN ?1 AND ?2 AND next_try > ?3",
                    )?
                    .execute([first, last, now, by])?
        }
        Change::Delete => {
            connection
                .prepare_cached("DELETE FROM recipient WHERE id BETWEEN ?1 AND ?2")?
                .execute([first, last])?;
            return delete_message(connection, queue_id, unlink);
        }
    };
    Ok(changed > 0)
}

/// Sets the state of the recipients that are in another.
fn set_state(
    connection: &Connection,
    to: RecipientState,
    from: RecipientState,
    first: i64,
    last: i64,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE recipient SET state = ?1
            WHERE id BETWEEN ?3 AND ?4 AND state = ?2",
        )?
        .execute(params![to.as_str(), from.as_str(), first, last])
}

fn set_reason(
    connection: &Connection,
    queue_id: QueueId,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE message SET reason = ?2 WHERE queue_id = ?1")?
        .execute(params![queue_id.key(), reason])?;
    Ok(())
}
