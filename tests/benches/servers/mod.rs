//! The servers that are measured. Each is set up for the same job: the site's restrictions, aliases and transports, a stranger as the client,
//! 250 after the sync, mail of one sender held.

mod facteur;
mod postfix;

pub use facteur::{Facteur, Policy};
pub use postfix::Postfix;

use crate::processes::Processes;
use crate::world::World;

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
    vec![Box::new(Facteur::site(world)), Box::new(Postfix::site(world))]
}
