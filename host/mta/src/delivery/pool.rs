//! Connections that are kept for a moment, for the next message to the same server.
//!
//! A connection is lent to one message at a time: taken out, and given back while it is good. Who
//! waits longer than its idle time is told QUIT; while any waits, one task watches them all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection::Connection;
use super::opening::Key;

/// Messages that one connection carries: many servers stop at some hundred.
const MESSAGE_LIMIT: u32 = 100;
/// How long one connection is used (Postfix's `smtp_connection_reuse_time_limit`).
const AGE_LIMIT: Duration = Duration::from_mins(5);

/// The idle connections, so many in all.
pub struct Pool(Mutex<Idle>, usize);

#[derive(Default)]
struct Idle {
    /// By server; the last one of each was used last.
    kept: HashMap<Key, Vec<(Instant, Connection)>>,
    count: usize,
    watched: bool,
    closed: bool,
}

impl Pool {
    /// None yet.
    pub fn new(most: usize) -> Self {
        Self(Mutex::default(), most)
    }

    /// Whether there is one.
    pub fn has(&self, key: &Key) -> bool {
        self.0.lock().kept.contains_key(key)
    }

    /// One that is good as far as is known, if there is any.
    pub fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let mut connection = self.0.lock().pop(key)?;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Gives one back after a message, to be kept so long.
    pub fn give(self: &Arc<Self>, key: Key, connection: Connection, keep: Duration) {
        let (messages, age) = connection.worn();
        let mut idle = self.0.lock();
        if idle.closed
            || idle.count >= self.1
            || messages >= MESSAGE_LIMIT
            || age >= AGE_LIMIT
            || keep.is_zero()
        {
            drop(idle);
            return connection.leave();
        }
        idle.kept.entry(key).or_default().push((Instant::now() + keep, connection));
        idle.count += 1;
        if !std::mem::replace(&mut idle.watched, true) {
            tokio::spawn(watch(self.clone()));
        }
    }

    /// Says QUIT to all, and keeps none from now on.
    pub fn close(&self) {
        let connections = {
            let mut idle = self.0.lock();
            idle.closed = true;
            idle.count = 0;
            std::mem::take(&mut idle.kept)
        };
        connections.into_values().flatten().for_each(|(_, connection)| connection.leave());
    }
}

impl Idle {
    fn pop(&mut self, key: &Key) -> Option<Connection> {
        let kept = self.kept.get_mut(key)?;
        let popped = kept.pop();
        if kept.is_empty() {
            self.kept.remove(key);
        }
        let (_, connection) = popped?;
        self.count -= 1;
        Some(connection)
    }

    /// Takes out those whose time is over, and says when the next one's is.
    fn expire(&mut self, now: Instant) -> (Vec<Connection>, Option<Instant>) {
        let (mut over, mut next) = (Vec::new(), None::<Instant>);
        self.kept.retain(|_, kept| {
            over.extend(
                kept.extract_if(.., |(until, _)| *until <= now).map(|(_, connection)| connection),
            );
            next = kept.iter().map(|(until, _)| *until).chain(next).min();
            !kept.is_empty()
        });
        self.count -= over.len();
        self.watched = next.is_some();
        (over, next)
    }
}

async fn watch(pool: Arc<Pool>) {
    loop {
        let (over, next) = pool.0.lock().expire(Instant::now());
        over.into_iter().for_each(Connection::leave);
        let Some(next) = next else { return };
        tokio::time::sleep_until(next).await;
    }
}
