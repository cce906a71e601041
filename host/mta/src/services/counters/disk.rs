//! The counters that outlive a restart: one SQLite file, which an operator can look into with
//! `sqlite3`.
//!
//! It is written in batches, without waiting for the disk: after a crash of the program the file
//! has all but the last second; after a loss of power it is whole, and may be somewhat older. A
//! file that is damaged is put aside, and another one begun: what is in memory will be written
//! there. What was written in the future, by a clock that has been set right since, counts as
//! written now.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, ffi, params};

use super::clock::Clock;
use super::store::Entry;

/// Of the schema below, in `PRAGMA user_version`.
const VERSION: i64 = 1;

/// The times are the machine's, in microseconds since 1970. A name is "c:" (a counter) or "b:" (a
/// bucket) and the key; with "#", a key's digest.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS entry (
        store TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, since INTEGER NOT NULL, \
        until INTEGER NOT NULL, written INTEGER NOT NULL,
        PRIMARY KEY (store, name)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;";

/// Between the name of the file and what SQLite adds to it.
const DAMAGED: &str = ".damaged";

/// Why the file couldn't be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It can't be made, or put aside.
    #[error("{0}")]
    File(#[from] io::Error),
    /// What SQLite says.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// It isn't as we write it.
    #[error("{0}")]
    Content(String),
}

impl DiskError {
    /// Whether it stays so, whatever is tried.
    fn is_damage(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Content(_) => true,
            Self::Database(rusqlite::Error::SqliteFailure(error, _)) => {
                matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                    || error.extended_code == ffi::SQLITE_IOERR_READ
            }
            // A value of another kind than the schema has.
            Self::Database(error) => matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::Utf8Error(..)
            ),
        }
    }
}

/// The file. It is opened when it is first needed, and again after an error.
pub struct Disk {
    path: PathBuf,
    clock: Clock,
    connection: Option<Connection>,
    begun_anew: bool,
}

impl Disk {
    /// Opens nothing yet.
    pub fn new(path: PathBuf, clock: Clock) -> Self {
        Self { path, clock, connection: None, begun_anew: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file was exchanged for an empty one since this was last asked.
    pub fn has_begun_anew(&mut self) -> bool {
        std::mem::take(&mut self.begun_anew)
    }

    /// The entries of a store that aren't over; those with the most time left, if there are too
    /// many.
    pub fn load(&mut self, store: &str, most: usize) -> Result<Vec<(String, Entry)>, DiskError> {
        let ahead = self.clock.ahead();
        self.with(|connection| {
            let mut query = connection.prepare(
                "SELECT name, value, since, until FROM entry WHERE store = ?1 ORDER BY until DESC \
                 LIMIT ?2",
            )?;
            let rows = query.query_map(params![store, signed(most as u64)], |row| {
                let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
                let time = |column| number(column).map(|time| time.saturating_add_signed(ahead));
                Ok((
                    row.get::<_, String>(0)?,
                    Entry { value: number(1)?, since: time(2)?, until: time(3)? },
                ))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Writes these entries of a store. None: it is gone.
    pub fn write(
        &mut self,
        store: &str,
        keys: &[Arc<str>],
        entries: &[Option<Entry>],
    ) -> Result<(), DiskError> {
        let (now, behind) = (signed(self.clock.wall()), self.clock.ahead().saturating_neg());
        let time = |time: u64| signed(time.saturating_add_signed(behind));
        self.with(|connection| {
            let batch = connection.transaction()?;
            {
                let mut put = batch.prepare_cached(
                    "INSERT INTO entry (store, name, value, since, until, written) VALUES (?1, ?2, \
                     ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET value = excluded.value, since = \
                     excluded.since, until = excluded.until, written = excluded.written",
                )?;
                let mut remove =
                    batch.prepare_cached("DELETE FROM entry WHERE store = ?1 AND name = ?2")?;
                for (key, entry) in keys.iter().zip(entries) {
                    let key: &str = key;
                    match entry {
                        // A value is any 64 bits: its column may look negative.
                        Some(Entry { value, since, until }) => put.execute(params![
                            store,
                            key,
                            value.cast_signed(),
                            time(*since),
                            time(*until),
                            now
                        ])?,
                        None => remove.execute(params![store, key])?,
                    };
                }
            }
            Ok(batch.commit()?)
        })
    }

    /// Does this with the open file; with another one if it turns out damaged.
    fn with<T>(
        &mut self,
        work: impl Fn(&mut Connection) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let done = self.opened().and_then(&work);
        match done {
            Err(error) if error.is_damage() => {
                self.put_aside(&error)?;
                self.opened().and_then(&work)
            }
            Err(error) => {
                self.connection = None;
                Err(error)
            }
            done => done,
        }
    }

    /// Opens it, for this user alone, if it isn't open.
    fn opened(&mut self) -> Result<&mut Connection, DiskError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.path, signed(self.clock.wall()))?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Gives the file another name, for whoever wants to look into it. An older one goes.
    fn put_aside(&mut self, why: &DiskError) -> Result<(), DiskError> {
        self.connection = None;
        let aside = with_ending(&self.path, DAMAGED);
        for ending in ["", "-wal", "-shm"] {
            let (from, to) = (with_ending(&self.path, ending), with_ending(&aside, ending));
            match std::fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.begun_anew = true;
        tracing::error!(
            file = %self.path.display(), aside = %aside.display(), error = %why,
            "the file of the counters is damaged: it is put aside, and another one begun"
        );
        Ok(())
    }
}

fn open(path: &Path, now: i64) -> Result<Connection, DiskError> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let connection = Connection::open(path)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    if version != VERSION && number("SELECT count(*) FROM sqlite_schema")? > 0 {
        return Err(DiskError::Content(format!(
            "its schema has version {version}, this facteur has {VERSION}"
        )));
    }
    connection.execute_batch(SCHEMA)?;
    let finding: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))?;
    if finding != "ok" {
        return Err(DiskError::Content(finding));
    }
    connection.execute(
        "UPDATE entry SET since = max(0, since - (written - ?1)), until = until - (written - ?1), \
         written = ?1 WHERE written > ?1",
        [now],
    )?;
    connection.execute("DELETE FROM entry WHERE until <= ?1", [now])?;
    Ok(connection)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Times stay in order, whatever they are.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
