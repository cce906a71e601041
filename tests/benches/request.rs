//! What `cargo xtask bench` is asked for. xtask reads this file, too, so that a wrong name is told
//! before anything is built.

use clap::{Args, ValueEnum};

/// What to measure, and how thoroughly.
#[derive(Debug, Args)]
pub struct Request {
    /// What to measure; everything if nothing is named
    #[arg(value_name = "NAME")]
    pub benches: Vec<Bench>,
    /// Less of everything: under two minutes, for a look
    #[arg(long)]
    pub short: bool,
    /// Against Haraka and Exim, too
    #[arg(long)]
    pub peers: bool,
}

/// What can be measured, in the order of a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// messages taken and synced, delivery held
    Accepted,
    /// messages in, decided, queued, and out to smtp-sink
    Through,
    /// what plugins cost: none, the site's, a chain of four
    Policy,
    /// memory of idle connections
    Idle,
    /// TLS: handshakes, full and resumed; memory of idle connections
    Tls,
    /// large messages: memory, and the share of what the disk writes
    Large,
    /// the same rate with a long queue, many sessions, many plugins
    Growth,
    /// a long queue: memory and start
    Queue,
}
