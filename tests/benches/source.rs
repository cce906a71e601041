//! Postfix's smtp-source, the load generator.

use std::process::Command;
use std::time::{Duration, Instant};

use facteur_tests::{output_of, peer};

use crate::world::{ENTRIES, MEMBER};

/// A kind of load.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Envelope sender.
    pub from: &'a str,
    /// Each recipient is this with a number before it, from 1. There are no more than [`ENTRIES`]
    /// members: after them comes the first again, on new connections.
    pub to: &'a str,
    /// Many messages on one connection, in place of a connection for each.
    pub kept: bool,
    /// At once.
    pub sessions: usize,
    /// Octets of the content without header.
    pub size: usize,
    /// Of each message.
    pub recipients: usize,
}

impl<'a> Source<'a> {
    /// The load that the numbers of this project are about.
    pub fn usual(from: &'a str, kept: bool) -> Self {
        Self { from, to: MEMBER, kept, sessions: 20, size: 4096, recipients: 1 }
    }

    /// Sends so many messages, all of which must be taken; returns how long that took.
    pub fn send(&self, address: &str, messages: usize) -> Duration {
        let started = Instant::now();
        let mut left = messages;
        while left > 0 {
            let part = if self.to == MEMBER { left.min(ENTRIES) } else { left };
            let mut command = Command::new(peer("smtp-source"));
            // -N numbers the recipients. A server that is slow to accept isn't an error.
            command.args([
                "-N",
                "-C",
                "100",
                "-M",
                "stranger.example.net",
                "-f",
                self.from,
                "-t",
                self.to,
            ]);
            if self.kept {
                command.arg("-d");
            }
            for (option, number) in [
                ("-s", self.sessions.min(part)),
                ("-l", self.size),
                ("-r", self.recipients),
                ("-m", part),
            ] {
                command.args([option, &number.to_string()]);
            }
            output_of(command.arg(address)).success();
            left -= part;
        }
        started.elapsed()
    }
}
