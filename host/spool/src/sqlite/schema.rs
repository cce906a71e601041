//! The schema, its version, and how a connection is set up.
//!
//! The text columns are for the operator's eyes too: `sqlite3 queue.db 'SELECT * FROM queue'`.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::SpoolError;

/// The version of the schema, in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 1;

/// Pages of 4 KiB; the log is moved into the database after about this many.
const PAGE_SIZE: i64 = 4096;
/// A burst may make the log longer; it is cut back to this many octets when it begins anew.
const LOG_LIMIT: i64 = 64 << 20;
/// What a connection keeps in memory, in KiB (the sign is SQLite's way of saying so).
const WRITER_CACHE: i64 = -16 * 1024;
const READER_CACHE: i64 = -2 * 1024;
/// Statements are prepared once for each connection; there are fewer than this.
const STATEMENTS: usize = 64;
/// How long a checkpoint waits for readers before it leaves the log as it is; nobody is served
/// meanwhile.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(50);
/// How long a read waits for a lock that only recovery of the log takes.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// Text in `sender`: empty is the null sender; NULL (recipients only) is the message's. `original`
/// is NULL where it is the address. Times are milliseconds since 1970. A recipient's id is its
/// message's queue id, 20 bits up, and a number: the recipients of a message are a range. A body
/// stands in `body`, or in the file of that name under `bodies/`.
const SCHEMA: &str = "
    CREATE TABLE message (
        queue_id INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        received_at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        sender TEXT NOT NULL,
        client_address TEXT NOT NULL,
        client_name TEXT NOT NULL,
        client_helo TEXT NOT NULL,
        client_protocol TEXT NOT NULL,
        client_login TEXT,
        utf8 INTEGER NOT NULL,
        eight_bit INTEGER NOT NULL,
        ret TEXT,
        envid TEXT,
        tags TEXT,
        reason TEXT,
        file TEXT,
        header BLOB NOT NULL,
        body BLOB
    ) STRICT;
    CREATE INDEX message_file ON message(file) WHERE file IS NOT NULL;
    CREATE TABLE recipient (
        id INTEGER PRIMARY KEY,
        message INTEGER AS (id >> 20) VIRTUAL,
        address TEXT NOT NULL,
        domain TEXT NOT NULL,
        state TEXT NOT NULL,
        next_try INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        original TEXT,
        orcpt TEXT,
        notify TEXT,
        sender TEXT,
        target TEXT NOT NULL,
        tags TEXT,
        class TEXT NOT NULL,
        refusal TEXT,
        last_reply TEXT,
        remote TEXT
    ) STRICT;
    CREATE INDEX recipient_due ON recipient(domain, next_try) WHERE state = 'queued';
    CREATE VIEW queue AS
        SELECT printf('%010X', m.queue_id) AS queue_id, r.state,
            datetime(m.received_at / 1000, 'unixepoch') AS received, m.size,
            m.sender, r.address AS recipient, r.attempts,
            datetime(r.next_try / 1000, 'unixepoch') AS next_try, r.last_reply, r.remote, m.reason
        FROM message m JOIN recipient r ON r.id BETWEEN m.queue_id << 20 AND (m.queue_id << 20) + \
        1048575;
";

/// Opens the writing connection, and makes the schema in an empty database.
pub(super) fn open_writer(path: &Path) -> Result<Connection, SpoolError> {
    let connection = open(path, WRITER_CACHE)?;
    let version: i64 = query(&connection, "PRAGMA user_version")?;
    if version > VERSION {
        return Err(SpoolError::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    set(&connection, "PRAGMA journal_size_limit", LOG_LIMIT)?;
    if version == 0 {
        // So that space can be given back to the file system; only an empty database takes it.
        set(&connection, "PRAGMA page_size", PAGE_SIZE)?;
        execute(&connection, "PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    let mode: String = query(&connection, "PRAGMA journal_mode = WAL")?;
    if mode != "wal" {
        return Err(SpoolError::fatal(format!(
            "{}: SQLite can't keep a write-ahead log here (it says {mode:?}); use a local file \
             system",
            path.display()
        )));
    }
    if version == 0 {
        execute(&connection, &format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))?;
    }
    Ok(connection)
}

/// Opens a connection for checkpoints.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, SpoolError> {
    let connection = open(path, READER_CACHE)?;
    connection.busy_timeout(CHECKPOINT_PATIENCE).map_err(super::failure::read_failed)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SpoolError> {
    let connection = open(path, READER_CACHE)?;
    execute(&connection, "PRAGMA query_only = ON")?;
    connection.busy_timeout(READER_PATIENCE).map_err(super::failure::read_failed)?;
    Ok(connection)
}

fn open(path: &Path, cache: i64) -> Result<Connection, SpoolError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(super::failure::read_failed)?;
    // A process that ends after an error must not touch the database; one that ends well has
    // checkpointed before.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(super::failure::read_failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    execute(&connection, "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF")?;
    set(&connection, "PRAGMA cache_size", cache)?;
    set(&connection, "PRAGMA wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// The first thing that is wrong with the database, if anything.
pub(super) fn check(connection: &Connection) -> Result<Option<String>, SpoolError> {
    let finding: String = query(connection, "PRAGMA quick_check(1)")?;
    Ok((finding != "ok").then_some(finding))
}

fn execute(connection: &Connection, sql: &str) -> Result<(), SpoolError> {
    connection.execute_batch(sql).map_err(super::failure::write_failed)
}

fn set(connection: &Connection, pragma: &str, value: i64) -> Result<(), SpoolError> {
    execute(connection, &format!("{pragma} = {value}"))
}

fn query<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> Result<T, SpoolError> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(super::failure::read_failed)
}
