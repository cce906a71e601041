//! What every part of the program shares: the configuration in force, the store, the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use facteur_policy::Bodies;
use facteur_spool::Spool;
use tokio::sync::watch;

use crate::bodies::SpoolBodies;
use crate::live::Live;
use crate::queue::Queue;

/// The configuration in force: one pointer, swapped by a reload.
pub type Lives = Arc<ArcSwap<Live>>;

/// The running program.
pub struct Mta {
    /// What is in force.
    pub lives: Lives,
    /// The store.
    pub spool: Spool,
    /// Who keeps the bodies that plugins make.
    pub bodies: Arc<dyn Bodies>,
    /// What is being delivered.
    pub queue: Queue,
    /// True once the program is to end: sessions say 421 and go.
    pub stopping: watch::Receiver<bool>,
    sessions: AtomicU64,
}

/// Waits until the program is to end.
pub async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that who would tell is gone: the program is ending all the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

impl Mta {
    /// Puts the parts together.
    pub fn new(lives: Lives, spool: Spool, queue: Queue, stopping: watch::Receiver<bool>) -> Self {
        let bodies = Arc::new(SpoolBodies::new(spool.clone(), lives.load().config.message_size()));
        Self { lives, spool, bodies, queue, stopping, sessions: AtomicU64::new(0) }
    }

    /// A name for a session, unique in this process and unlikely to come again in the next.
    pub fn session_id(&self) -> String {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        format!("s{:x}-{number:x}", std::process::id())
    }
}
