//! The servers that are measured. Each is set up for the same job: the site's restrictions, aliases
//! and transports, a stranger as the client, 250 after the sync, mail of one sender held.

mod exim;
mod facteur;
mod haraka;
pub mod milter;
mod postfix;

use std::fs;
use std::path::Path;
use std::time::Duration;

pub use facteur::{Facteur, Policy};
pub use postfix::Postfix;

use crate::processes::Processes;
use crate::world::World;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// A running server.
pub trait Server {
    /// As it stands in the table.
    fn name(&self) -> &str;
    /// `ADDRESS:PORT` where it takes mail.
    fn address(&self) -> &str;
    /// Its processes.
    fn processes(&self) -> &Processes;
    /// Removes all mail from its queue; returns how many messages that were.
    fn clear(&self) -> usize;
}

/// facteur, Postfix, and with `--peers` the others.
pub fn all(world: &World) -> Vec<Box<dyn Server>> {
    let mut all: Vec<Box<dyn Server>> =
        vec![Box::new(Facteur::site(world)), Box::new(Postfix::site(world))];
    if world.peers {
        all.push(Box::new(haraka::Haraka::site(world)));
        all.push(Box::new(exim::Exim::site(world)));
    }
    all
}

/// A server's name as that of a file or folder.
fn file_name(name: &str) -> String {
    name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}

/// Removes every file below a queue's folder; returns how many of them are messages, by their name.
fn emptied(folder: &Path, is_message: impl Copy + Fn(&str) -> bool) -> usize {
    let mut messages = 0;
    for entry in fs::read_dir(folder).expect("a queue can be listed").flatten() {
        if entry.path().is_dir() {
            messages += emptied(&entry.path(), is_message);
        } else {
            messages += usize::from(entry.file_name().to_str().is_some_and(is_message));
            // A server that has just moved it is to blame for the count, which is checked.
            let _ = fs::remove_file(entry.path());
        }
    }
    messages
}
