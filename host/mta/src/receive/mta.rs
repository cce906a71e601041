//! What all sessions share, and the operator's requests look into: the configuration in force, the
//! store, the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use facteur_policy::Bodies;
use facteur_spool::{Spool, Timestamp};
use tokio::sync::{Semaphore, watch};

use crate::auth::Failures;
use crate::decisions::Decisions;
use crate::queue::Queue;
use crate::receive::bodies::SpoolBodies;
use crate::receive::pregreet::Pregreet;
use crate::receive::repeats::Repeats;
use crate::simulation::Recorder;
use crate::snapshot::InForce;

/// The running program.
pub struct Mta {
    /// What is in force.
    pub in_force: InForce,
    /// The store.
    pub spool: Spool,
    /// Who keeps the bodies that plugins make.
    pub bodies: Arc<dyn Bodies>,
    /// What is being delivered.
    pub queue: Queue,
    /// What was decided.
    pub decisions: Decisions,
    /// Who records sessions.
    pub recorder: Recorder,
    /// Which lines about clients are told.
    pub repeats: Repeats,
    /// Who waited for its greeting.
    pub pregreet: Pregreet,
    /// Places for TLS handshakes.
    pub handshakes: Semaphore,
    /// Who failed to log in.
    pub failures: Failures,
    /// True once the program is to end: sessions say 421 and go.
    pub stopping: watch::Receiver<bool>,
    sessions: AtomicU64,
    /// When it started, in seconds since 1970.
    started: u64,
}

/// Waits until the program is to end.
pub async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that who would tell is gone: the program is ending all the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

impl Mta {
    /// Puts the parts together.
    pub fn new(
        in_force: InForce,
        spool: Spool,
        queue: Queue,
        decisions: Decisions,
        failures: Failures,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let started = Timestamp::now().0 / 1000;
        let (message_size, handshakes) = {
            let config = &in_force.load().config;
            (config.message_size(), config.tls.handshakes)
        };
        let bodies = Arc::new(SpoolBodies::new(spool.clone(), message_size));
        Self {
            in_force,
            spool,
            bodies,
            queue,
            decisions,
            recorder: Recorder::default(),
            repeats: Repeats::default(),
            pregreet: Pregreet::default(),
            handshakes: Semaphore::new(handshakes),
            failures,
            stopping,
            sessions: AtomicU64::new(0),
            started,
        }
    }

    /// A name for a session: never given again, unless the clock is put back.
    pub fn session_id(&self) -> String {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        format!("s{:x}-{number:x}", self.started)
    }
}
