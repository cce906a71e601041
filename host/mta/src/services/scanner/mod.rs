//! Virus scanners, by name: which server is asked, how many at once, for how long.
//!
//! A server that gives no answer to rely on gives way to the next one; if none does, the message
//! counts as not scanned. A server that failed is asked last for a while, so that a dead one costs
//! one message its time, not every one.

mod clamd;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use facteur_policy::{Content, ScanError, Scanned, Scanners};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::config;
use crate::config::endpoint::Endpoint;
use clamd::{Connection, Failure, Said};

/// How long a server that failed is asked after the others.
const PENANCE: Duration = Duration::from_secs(30);
/// How long a session is kept for the next message: well below the 30 s after which clamd ends an
/// idle one (`IdleTimeout`).
const IDLE: Duration = Duration::from_secs(10);

/// All scanners of one configuration.
#[derive(Default)]
pub struct AllScanners(HashMap<String, Arc<Scanner>>);

impl AllScanners {
    /// Takes over from the configuration before what stays the same: its sessions, and what is
    /// known of its servers.
    pub fn new(wanted: &BTreeMap<String, config::Scanner>, before: Option<&Self>) -> Self {
        let kept = |name: &str, settings: &config::Scanner| {
            before
                .and_then(|before| before.0.get(name))
                .filter(|scanner| scanner.settings == *settings)
                .cloned()
        };
        let scanner = |(name, settings): (&String, &config::Scanner)| {
            (
                name.clone(),
                kept(name, settings).unwrap_or_else(|| Arc::new(Scanner::new(settings.clone()))),
            )
        };
        Self(wanted.iter().map(scanner).collect())
    }
}

impl Scanners for AllScanners {
    fn is_scanner(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn scan<'a>(
        &'a self,
        scanner: &'a str,
        content: Arc<dyn Content>,
    ) -> BoxFuture<'a, Result<Scanned, ScanError>> {
        async move {
            let Some(found) = self.0.get(scanner) else {
                return Err(ScanError::Unknown(scanner.to_owned()));
            };
            found.scan(scanner, &*content).await
        }
        .boxed()
    }
}

/// One scanner.
struct Scanner {
    settings: config::Scanner,
    servers: Vec<Server>,
    turns: Semaphore,
}

/// One clamd.
struct Server {
    endpoint: Endpoint,
    idle: Mutex<Vec<(Instant, Connection)>>,
    failed: Mutex<Option<Instant>>,
}

impl Scanner {
    fn new(settings: config::Scanner) -> Self {
        let server = |endpoint: &Endpoint| Server {
            endpoint: endpoint.clone(),
            idle: Mutex::default(),
            failed: Mutex::default(),
        };
        Self {
            servers: settings.clamd.iter().map(server).collect(),
            turns: Semaphore::new(settings.concurrency),
            settings,
        }
    }

    async fn scan(&self, name: &str, content: &dyn Content) -> Result<Scanned, ScanError> {
        if content.size() > self.settings.message_size {
            return Err(ScanError::TooLarge);
        }
        // The semaphore is never closed, so that an error here is the timeout's.
        let Ok(_turn) = timeout(self.settings.timeout, self.turns.acquire()).await else {
            return Err(ScanError::Unavailable(format!(
                "all of its {} scans are taken",
                self.settings.concurrency
            )));
        };
        let (well, failed): (Vec<_>, Vec<_>) =
            self.servers.iter().partition(|server| !server.has_failed());
        let mut reasons = Vec::new();
        let in_turn = well
            .into_iter()
            .map(|server| (server, true))
            .chain(failed.into_iter().map(|server| (server, false)));
        for (server, was_well) in in_turn {
            match server.scan(content, &self.settings).await {
                Ok(Said::Clean) => return Ok(Scanned::Clean),
                Ok(Said::Infected(signature)) => return Ok(Scanned::Infected(signature)),
                Ok(Said::TooLarge) => return Err(ScanError::TooLarge),
                Err(Failure::Content(error)) => {
                    return Err(ScanError::Unavailable(error.to_string()));
                }
                Err(Failure::Server(why)) => {
                    // Once for each time that it goes away: a plugin may ask again and again.
                    if was_well {
                        tracing::warn!(scanner = name, server = %server.endpoint, why, "no answer \
                         from the scanner");
                    }
                    reasons.push(format!("{}: {why}", server.endpoint));
                }
            }
        }
        Err(ScanError::Unavailable(reasons.join("; ")))
    }
}

impl Server {
    fn has_failed(&self) -> bool {
        self.failed.lock().is_some_and(|at| at.elapsed() < PENANCE)
    }

    async fn scan(
        &self,
        content: &dyn Content,
        settings: &config::Scanner,
    ) -> Result<Said, Failure> {
        let answer = timeout(settings.timeout, self.ask(content, settings)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Failure::Server(format!("no answer in {:?}", settings.timeout)))
        });
        match &answer {
            Ok(_) => *self.failed.lock() = None,
            Err(Failure::Server(_)) => {
                *self.failed.lock() = Some(Instant::now());
                self.idle.lock().clear();
            }
            Err(Failure::Content(_)) => {}
        }
        answer
    }

    async fn ask(
        &self,
        content: &dyn Content,
        settings: &config::Scanner,
    ) -> Result<Said, Failure> {
        if let Some(session) = self.take() {
            match self.talk(session, content).await {
                // It may have ended the session while it was idle: that says nothing about the
                // server.
                Err(Failure::Server(_)) => {}
                answer => return answer,
            }
        }
        let stream = self.endpoint.connect(settings.connect_timeout).await;
        let stream = stream.map_err(|error| Failure::Server(format!("connect: {error}")))?;
        self.talk(Connection::new(stream), content).await
    }

    async fn talk(&self, mut session: Connection, content: &dyn Content) -> Result<Said, Failure> {
        let said = session.scan(content).await?;
        if session.is_reusable() {
            self.idle.lock().push((Instant::now(), session));
        }
        Ok(said)
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        idle.retain(|(since, _)| since.elapsed() < IDLE);
        idle.pop().map(|(_, session)| session)
    }
}
