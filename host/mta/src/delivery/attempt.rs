//! One attempt: what is tried, and what became of it.

use facteur_policy::Route;
use facteur_smtp::{Address, Reply, status};
use facteur_spool::{Message, Recipient};

use super::outcome::Outcome;

/// One attempt.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The message; its own list of recipients isn't looked at.
    pub message: &'a Message,
    /// The envelope sender of these recipients; none is the null sender.
    pub sender: Option<&'a Address>,
    /// The alias of this machine by which all of these recipients came, if they came by one.
    pub alias: Option<&'a Address>,
    /// Who is to get it.
    pub recipients: &'a [&'a Recipient],
    /// How.
    pub route: &'a Route,
}

impl Attempt<'_> {
    pub(super) fn all(&self, outcome: &Outcome, reached: bool) -> Attempted {
        let outcomes = vec![outcome.clone(); self.recipients.len()];
        Attempted { outcomes, reached, stopped: false }
    }

    /// Nothing came of it, since the program is ending.
    pub(super) fn stopped(&self) -> Attempted {
        let reply = Reply::new(450, status::NOT_ACCEPTING, "the program is ending");
        Attempted { stopped: true, ..self.all(&Outcome::Deferred { reply, remote: None }, true) }
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// One for each recipient, in their order.
    pub outcomes: Vec<Outcome>,
    /// False: the destination couldn't be asked (no connection, no greeting, no DNS). Trying it
    /// again soon is of no use to any other message either.
    pub reached: bool,
    /// It was broken off, since the program is ending: what is deferred wasn't tried, and stays as
    /// it was.
    pub stopped: bool,
}
