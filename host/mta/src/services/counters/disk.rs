//! The counters that outlive a restart: one SQLite file, which an operator can look into with
//! `sqlite3`.
//!
//! It is written in batches, without waiting for the disk: after a crash of the program the file
//! has all but the last second; after a loss of power it is whole, and may be somewhat older.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::store::Entry;

/// The times are in microseconds since 1970. A name is "c:" (a counter) or "b:" (a bucket) and the
/// key; with "#", a key's digest.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS entry (
        store TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, since INTEGER NOT NULL, \
        until INTEGER NOT NULL,
        PRIMARY KEY (store, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS entry_until ON entry (until);";

/// The file.
pub struct Disk(Connection);

impl Disk {
    /// Opens it, for this user alone.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    /// The entries of a store that aren't over; those with the most time left, if there are too
    /// many.
    pub fn load(
        &self,
        store: &str,
        now: u64,
        most: usize,
    ) -> rusqlite::Result<Vec<(String, Entry)>> {
        let mut query = self.0.prepare(
            "SELECT name, value, since, until FROM entry WHERE store = ?1 AND until > ?2 ORDER BY \
             until DESC LIMIT ?3",
        )?;
        let rows = query.query_map(params![store, signed(now), signed(most as u64)], |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok((
                row.get::<_, String>(0)?,
                Entry { value: number(1)?, since: number(2)?, until: number(3)? },
            ))
        })?;
        rows.collect()
    }

    /// Writes these entries of a store. None: it is gone.
    pub fn write(
        &mut self,
        store: &str,
        keys: &[Arc<str>],
        entries: &[Option<Entry>],
    ) -> rusqlite::Result<()> {
        let batch = self.0.transaction()?;
        {
            let mut put = batch.prepare_cached(
                "INSERT INTO entry (store, name, value, since, until) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT DO UPDATE SET value = excluded.value, since = excluded.since, until = \
                 excluded.until",
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
                        signed(*since),
                        signed(*until)
                    ])?,
                    None => remove.execute(params![store, key])?,
                };
            }
        }
        batch.commit()
    }

    /// Removes what is over.
    pub fn expire(&self, now: u64) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("DELETE FROM entry WHERE until <= ?1")?
            .execute([signed(now)])
            .map(drop)
    }
}

/// Times stay in order, whatever they are.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
