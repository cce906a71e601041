//! Who may come in: a client that has too much already hears so in one line, and costs no session.
//!
//! What a client has is counted in [`super::clients`], who loses a place where all are taken is
//! found in [`super::seats`].

use std::net::IpAddr;
use std::time::Instant;

use facteur_smtp::{Reply, status};

use super::clients::{Clients, Count, Excess, Place};
use super::seats::{Seat, Seats};
use crate::config::ListenLimits;

/// The door of one listener.
pub struct Admission {
    clients: Clients,
    seats: Seats,
}

/// What a session has of its listener, as long as it lives.
pub struct Admitted {
    /// What its client uses.
    pub place: Place,
    /// Its own place.
    pub seat: Seat,
}

/// Why a client isn't let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// All places are taken.
    #[error("all {0} places of this listener are taken, and nobody idles")]
    Full(usize),
    /// It has too much.
    #[error("{0}")]
    Excess(#[from] Excess),
}

impl Admission {
    /// With the limits of the listener.
    pub fn new(limits: &ListenLimits) -> Self {
        Self { clients: Clients::new(limits.client), seats: Seats::new(limits) }
    }

    /// A client has connected; one that is exempt has no limits of its own.
    ///
    /// # Errors
    /// It isn't let in.
    pub fn admit(&self, client: IpAddr, exempt: bool) -> Result<Admitted, TurnedAway> {
        let place = self.clients.enter(client, exempt, Instant::now())?;
        let seat = self.seats.take(client, exempt);
        let seat = seat.ok_or_else(|| TurnedAway::Full(self.seats.limit()))?;
        Ok(Admitted { place, seat })
    }
}

impl TurnedAway {
    /// What the client hears of this host.
    pub fn reply(self, client: IpAddr, hostname: &str) -> Reply {
        let client = client.to_canonical();
        match self {
            Self::Full(_) => Reply::new(
                421,
                status::NOT_ACCEPTING,
                format!("{hostname} Error: too many connections"),
            ),
            Self::Excess(_) => Reply::new(
                421,
                status::SECURITY,
                format!("{hostname} Error: too many connections from {client}"),
            ),
        }
    }
}

impl Admitted {
    /// The session is another client's from now on.
    ///
    /// # Errors
    /// That one has too much: the session is to end.
    pub fn pass_to(&mut self, client: IpAddr, exempt: bool) -> Result<(), TurnedAway> {
        self.place.pass_to(client, exempt, Instant::now())?;
        self.seat.pass_to(client, exempt);
        Ok(())
    }

    /// One more of these.
    ///
    /// # Errors
    /// What the client hears, if it has too much; this one doesn't count.
    pub fn count(&self, what: Count, client: IpAddr) -> Result<(), Reply> {
        self.place.count(what, Instant::now()).map_err(|_| too_much(what, client))
    }

    /// Whether there may be one more.
    ///
    /// # Errors
    /// What the client hears, if it has too much.
    pub fn check(&self, what: Count, client: IpAddr) -> Result<(), Reply> {
        self.place.check(what, Instant::now()).map_err(|_| too_much(what, client))
    }
}

fn too_much(what: Count, client: IpAddr) -> Reply {
    let (code, detail, what) = match what {
        Count::Connections => (421, status::SECURITY, "too many connections"),
        Count::Handshakes => (421, status::SECURITY, "too many new TLS sessions"),
        Count::AuthFailures => (454, status::SECURITY, "too many failures to log in"),
        Count::Messages => (450, status::NOT_AUTHORIZED, "too much mail"),
        Count::Recipients => (450, status::NOT_AUTHORIZED, "too many recipients"),
    };
    Reply::new(code, detail, format!("Error: {what} from {}", client.to_canonical()))
}
