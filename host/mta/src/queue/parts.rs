//! What the queue needs to run.

use std::sync::Arc;

use facteur_spool::Spool;

use super::backoff::Backoff;
use super::scheduler::Limits;
use crate::decisions::Decisions;
use crate::delivery::Deliverer;
use crate::snapshot::InForce;

/// What the queue needs to run.
pub struct Parts {
    /// The store.
    pub spool: Spool,
    /// The configuration in force.
    pub in_force: InForce,
    /// Who delivers.
    pub deliverer: Arc<Deliverer>,
    /// Where what is decided is kept.
    pub decisions: Decisions,
    /// Bounds.
    pub limits: Limits,
    /// Recipients of one attempt.
    pub recipients_per_delivery: usize,
    /// When to try again.
    pub backoff: Backoff,
}
