//! The embedded store: SQLite with a write-ahead log.
//!
//! One connection writes, one checkpoints, a few read. Nothing waits on a database lock within the
//! process: what would block the writer (the end of a checkpoint) takes the writer's mutex instead.

mod codec;
mod failure;
mod read;
mod schema;
mod write;

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::Connection;

use self::failure::write_failed;
use crate::store::{Applied, Store, Write};
use crate::{Destination, Due, Message, QueueId, RecipientId, SpoolError, Summary, Timestamp};

/// Pages given back to the file system at once.
const RECLAIM_PAGES: u32 = 256;
/// Reading connections that are kept open between reads.
const IDLE_READERS: usize = 4;

/// The store.
pub(crate) struct Sqlite {
    path: PathBuf,
    bodies: std::sync::Arc<Path>,
    writer: Mutex<write::Writer>,
    checkpointer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens the database, making the schema where there is none. `check`: look for damage first.
    pub(crate) fn open(
        path: &Path,
        bodies: &std::sync::Arc<Path>,
        check: bool,
    ) -> Result<Self, SpoolError> {
        let opened = Self::open_unchecked(path, bodies);
        if !check {
            return opened;
        }
        let damaged =
            |finding: &str| SpoolError::Damaged { path: path.to_owned(), finding: finding.into() };
        // A file that SQLite can't even begin with is damage, too, after an unclean end.
        let opened = opened.map_err(|error| match error {
            SpoolError::Fatal(reason) => damaged(&reason),
            error => error,
        })?;
        match schema::check(opened.writer.lock().connection()) {
            Ok(None) => {}
            Ok(Some(finding)) => return Err(damaged(&finding)),
            Err(error) => return Err(damaged(&error.to_string())),
        }
        Ok(opened)
    }

    fn open_unchecked(path: &Path, bodies: &std::sync::Arc<Path>) -> Result<Self, SpoolError> {
        Ok(Self {
            path: path.to_owned(),
            bodies: bodies.clone(),
            writer: Mutex::new(write::Writer::new(schema::open_writer(path)?)),
            checkpointer: Mutex::new(schema::open_checkpointer(path)?),
            readers: Mutex::default(),
        })
    }

    /// Reads with a connection that nobody else uses meanwhile.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let idle = self.readers.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        let result = read(&connection);
        let mut readers = self.readers.lock();
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        let writer = self.writer.lock();
        writer.connection().pragma_update(None, "max_page_count", pages).expect("a pragma");
    }

    /// How the queue's two questions are answered, in SQLite's words.
    #[cfg(test)]
    pub(crate) fn plans(&self) -> Vec<String> {
        let plan = |sql: &str| {
            let writer = self.writer.lock();
            let mut plan =
                writer.connection().prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
            let parameters = vec![1; plan.parameter_count()];
            let lines = plan
                .query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3));
            lines.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect(sql).join("; ")
        };
        [read::DESTINATIONS, read::DUE].map(plan).into()
    }

    #[cfg(test)]
    pub(crate) fn execute(&self, sql: &str) {
        self.writer.lock().connection().execute_batch(sql).expect(sql);
    }
}

impl Store for Sqlite {
    fn apply(&self, batch: &[Write]) -> Result<Applied, SpoolError> {
        self.writer.lock().apply(batch)
    }

    fn checkpoint(&self) -> Result<(), SpoolError> {
        let checkpointer = self.checkpointer.lock();
        let checkpoint = |mode: &str| {
            checkpointer
                .prepare_cached(mode)
                .and_then(|mut statement| statement.query_row([], |_| Ok(())))
                .map_err(write_failed)
        };
        // Most of the work goes on while others write; what they wrote meanwhile is little and is
        // moved while they wait, so that the log can begin anew instead of growing for ever.
        checkpoint("PRAGMA wal_checkpoint(PASSIVE)")?;
        let _gate = self.writer.lock();
        checkpoint("PRAGMA wal_checkpoint(RESTART)")
    }

    fn reclaim(&self) -> Result<bool, SpoolError> {
        self.writer.lock().reclaim(RECLAIM_PAGES)
    }

    fn load(
        &self,
        queue_id: QueueId,
        recipients: Option<&[RecipientId]>,
    ) -> Result<Option<Message>, SpoolError> {
        self.read(|connection| read::load(connection, &self.bodies, queue_id, recipients))
    }

    fn destinations(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Destination>, SpoolError> {
        self.read(|connection| read::destinations(connection, after, limit))
    }

    fn untold(&self) -> Result<Vec<QueueId>, SpoolError> {
        self.read(read::untold)
    }

    fn due(
        &self,
        domain: &str,
        now: Timestamp,
        after: Option<(Timestamp, RecipientId)>,
        limit: usize,
    ) -> Result<Due, SpoolError> {
        self.read(|connection| read::due(connection, domain, now, after, limit))
    }

    fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Summary>, SpoolError> {
        self.read(|connection| read::list(connection, after, limit))
    }

    fn files(&self, after: &str, limit: usize) -> Result<Vec<String>, SpoolError> {
        self.read(|connection| read::files(connection, after, limit))
    }
}
