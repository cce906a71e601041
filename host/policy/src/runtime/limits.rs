//! What one call of a plugin may use, and how long an instance lives.

use std::time::Duration;

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// No longer than a transaction: nothing it saw can get into another.
    #[default]
    Transaction,
    /// It is asked on behalf of one transaction after the other, and may remember: for speed.
    Shared,
}

/// What one call may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Linear memory of the sandbox, in bytes; at most 64 MiB.
    pub memory: usize,
    /// From the call to its answer, waiting included.
    pub timeout: Duration,
    /// Computing alone, in steps of 5 ms.
    pub cpu: Duration,
    /// The most sandboxes that the plugin may use at once, at least 1. None: half of all, so that a
    /// plugin that hangs leaves the other half to those that don't, and may still use a good part
    /// while nobody else needs it.
    pub concurrency: Option<usize>,
}

impl Default for Limits {
    /// Far more than a policy needs: 16 MiB, 20 s (a slow DNS answer comes within), 500 ms.
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            timeout: Duration::from_secs(20),
            cpu: Duration::from_millis(500),
            concurrency: None,
        }
    }
}
