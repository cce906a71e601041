//! What each client of a listener has used of it, as Postfix's anvil(8) counts: connections at
//! once, and connections, TLS handshakes, failures to log in, messages and recipients in a minute.
//!
//! A client is an address; with IPv6 a network of 64 bits, since that is what one customer has.
//! What a user sends who logged in to submit is counted by login, whatever the address. The minute
//! begins with the first event, and what was counted in it is forgotten at its end. Nobody is
//! locked out: who is over a limit is let in again in the next minute, and what is refused doesn't
//! count. The table is bounded: where more clients come in a minute than it holds, the rates of
//! some that have no connection are forgotten, and those with one are never.
//!
//! It decides nothing about mail, and knows no socket and no clock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::{ClientLimits, one_client};

/// How long events are counted (`anvil_rate_time_unit`).
const WINDOW: Duration = Duration::from_mins(1);
/// Clients whose rates are remembered, some MiB.
const CLIENTS: usize = 50_000;

/// What is counted in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Connections (`smtpd_client_connection_rate_limit`).
    Connections,
    /// TLS handshakes that aren't resumed (`smtpd_client_new_tls_session_rate_limit`).
    Handshakes,
    /// Failures to log in (Postfix counts all AUTH: `smtpd_client_auth_rate_limit`).
    AuthFailures,
    /// MAIL (`smtpd_client_message_rate_limit`).
    Messages,
    /// RCPT (`smtpd_client_recipient_rate_limit`).
    Recipients,
}

/// How many kinds of [`Count`] there are.
const COUNTS: usize = 5;

/// What a client has too much of, with how many are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Connections at once.
    #[error("more than {0} connections at once (client-connections)")]
    AtOnce(usize),
    /// Of this in a minute.
    #[error("more than {limit} {} in a minute ({})", what.words().0, what.words().1)]
    Rate {
        /// Of this.
        what: Count,
        /// How many.
        limit: u32,
    },
}

impl Count {
    /// The plural, and the limit's name.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Connections => ("connections", "client-connection-rate"),
            Self::Handshakes => ("TLS handshakes", "client-tls-rate"),
            Self::AuthFailures => ("failures to log in", "client-auth-failure-rate"),
            Self::Messages => ("messages", "client-message-rate"),
            Self::Recipients => ("recipients", "client-recipient-rate"),
        }
    }

    fn limit(self, limits: &ClientLimits) -> Option<u32> {
        match self {
            Self::Connections => limits.connection_rate,
            Self::Handshakes => limits.tls_rate,
            Self::AuthFailures => limits.auth_failure_rate,
            Self::Messages => limits.message_rate,
            Self::Recipients => limits.recipient_rate,
        }
    }

    /// Whether it is of the login, where there is one.
    fn is_of_login(self) -> bool {
        matches!(self, Self::Messages | Self::Recipients)
    }
}

/// All clients of one listener. Cheap to clone.
#[derive(Clone)]
pub struct Clients(Arc<Shared>);

struct Shared {
    limits: ClientLimits,
    known: Mutex<HashMap<Who, Used>>,
}

/// Who uses something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Client(IpAddr),
    Login(String),
}

#[derive(Debug)]
struct Used {
    at_once: usize,
    /// When the minute began that these are of.
    began: Instant,
    counts: [u32; COUNTS],
}

/// One connection of a client. It counts as long as this lives.
pub struct Place {
    clients: Clients,
    /// None: the client is exempt from all limits.
    client: Option<Who>,
    login: Option<Who>,
}

impl Clients {
    /// Nobody has used anything.
    pub fn new(limits: ClientLimits) -> Self {
        Self(Arc::new(Shared { limits, known: Mutex::default() }))
    }

    /// A client has connected. One that is exempt is never refused and not counted
    /// (`smtpd_client_event_limit_exceptions`).
    ///
    /// # Errors
    /// It has too much; the connection doesn't count.
    pub fn enter(&self, client: IpAddr, exempt: bool, now: Instant) -> Result<Place, Excess> {
        let mut place = Place { clients: self.clone(), client: None, login: None };
        if exempt {
            return Ok(place);
        }
        let client = Who::Client(one_client(client));
        let limits = &self.0.limits;
        let mut known = self.0.known.lock();
        let used = used(&mut known, &client, now);
        if used.at_once >= limits.connections {
            return Err(Excess::AtOnce(limits.connections));
        }
        used.count(Count::Connections, limits, now)?;
        used.at_once += 1;
        place.client = Some(client);
        Ok(place)
    }
}

impl Place {
    /// The connection is another client's from now on, as if that had connected.
    ///
    /// # Errors
    /// That one has too much; the connection doesn't count for it.
    pub fn pass_to(&mut self, client: IpAddr, exempt: bool, now: Instant) -> Result<(), Excess> {
        *self = self.clients.enter(client, exempt, now)?;
        Ok(())
    }

    /// One more of these.
    ///
    /// # Errors
    /// The client has too much; this one doesn't count.
    pub fn count(&self, what: Count, now: Instant) -> Result<(), Excess> {
        self.look(what, now, Used::count)
    }

    /// Whether there may be one more.
    ///
    /// # Errors
    /// The client has too much.
    pub fn check(&self, what: Count, now: Instant) -> Result<(), Excess> {
        self.look(what, now, Used::check)
    }

    /// What is sent from here on is the login's, if the client isn't exempt.
    pub fn log_in(&mut self, login: &str) {
        if self.client.is_some() {
            self.login = Some(Who::Login(login.to_owned()));
        }
    }

    fn look(
        &self,
        what: Count,
        now: Instant,
        look: impl FnOnce(&mut Used, Count, &ClientLimits, Instant) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        let login = self.login.as_ref().filter(|_| what.is_of_login());
        let Some(who) = login.or(self.client.as_ref()) else { return Ok(()) };
        let Shared { limits, known } = &*self.clients.0;
        match what.limit(limits) {
            None => Ok(()),
            Some(_) => look(used(&mut known.lock(), who, now), what, limits, now),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = &self.client else { return };
        let mut known = self.clients.0.known.lock();
        if let Some(used) = known.get_mut(client) {
            used.at_once = used.at_once.saturating_sub(1);
            // What no rate is limited for needn't be remembered.
            if used.at_once == 0 && !self.clients.0.limits.any_rate() {
                known.remove(client);
            }
        }
    }
}

impl Used {
    fn new(now: Instant) -> Self {
        Self { at_once: 0, began: now, counts: [0; COUNTS] }
    }

    fn check(&mut self, what: Count, limits: &ClientLimits, now: Instant) -> Result<(), Excess> {
        if now.saturating_duration_since(self.began) >= WINDOW {
            (self.began, self.counts) = (now, [0; COUNTS]);
        }
        match what.limit(limits) {
            Some(limit) if self.counts[what as usize] >= limit => Err(Excess::Rate { what, limit }),
            _ => Ok(()),
        }
    }

    fn count(&mut self, what: Count, limits: &ClientLimits, now: Instant) -> Result<(), Excess> {
        self.check(what, limits, now)?;
        self.counts[what as usize] = self.counts[what as usize].saturating_add(1);
        Ok(())
    }
}

/// What somebody used, from now on if nothing was known.
fn used<'a>(known: &'a mut HashMap<Who, Used>, who: &Who, now: Instant) -> &'a mut Used {
    if known.len() >= CLIENTS && !known.contains_key(who) {
        forget(known, now);
    }
    known.entry(who.clone()).or_insert_with(|| Used::new(now))
}

/// Makes room: those without a connection whose minute is over; if there are none, all without one.
fn forget(known: &mut HashMap<Who, Used>, now: Instant) {
    let over = |used: &Used| now.saturating_duration_since(used.began) >= WINDOW;
    known.retain(|_, used| used.at_once > 0 || !over(used));
    if known.len() >= CLIENTS {
        known.retain(|_, used| used.at_once > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClientLimits = ClientLimits {
        connections: 2,
        connection_rate: Some(3),
        tls_rate: None,
        auth_failure_rate: Some(2),
        message_rate: Some(1),
        recipient_rate: None,
    };

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at_once(clients: &Clients, text: &str) -> usize {
        let who = Who::Client(one_client(client(text)));
        clients.0.known.lock().get(&who).map_or(0, |used| used.at_once)
    }

    fn later(from: Instant, seconds: u64) -> Instant {
        from + Duration::from_secs(seconds)
    }

    #[test]
    fn a_client_has_so_many_connections_at_once() {
        let (clients, now) = (Clients::new(LIMITS), Instant::now());
        let enter = |text| clients.enter(client(text), false, now);
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").err(), Some(Excess::AtOnce(2)));
        // IPv4 written as IPv6 is the same client; another address isn't.
        assert!(enter("::ffff:192.0.2.1").is_err());
        assert!(enter("192.0.2.2").is_ok());
        drop(first);
        assert!(enter("192.0.2.1").is_ok());
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let (clients, now) = (Clients::new(LIMITS), Instant::now());
        let enter = |text| clients.enter(client(text), false, now);
        let _places = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert!(enter("2001:db8:0:0:ffff::3").is_err());
        assert!(enter("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn what_is_counted_is_forgotten_after_a_minute() {
        let (clients, now) = (Clients::new(LIMITS), Instant::now());
        for _ in 0..3 {
            drop(clients.enter(client("192.0.2.1"), false, now).unwrap());
        }
        let too_much = clients.enter(client("192.0.2.1"), false, later(now, 59)).err();
        assert_eq!(too_much, Some(Excess::Rate { what: Count::Connections, limit: 3 }));
        let place = clients.enter(client("192.0.2.1"), false, later(now, 60)).unwrap();
        assert_eq!(place.count(Count::Messages, later(now, 60)), Ok(()));
        let second = place.count(Count::Messages, later(now, 61));
        assert_eq!(second, Err(Excess::Rate { what: Count::Messages, limit: 1 }));
        // What has no limit isn't counted.
        for _ in 0..1_000 {
            assert_eq!(place.count(Count::Recipients, now), Ok(()));
        }
    }

    #[test]
    fn what_a_user_sends_counts_for_the_login_and_failures_for_the_client() {
        let (clients, now) = (Clients::new(LIMITS), Instant::now());
        let mut places = ["192.0.2.1", "192.0.2.2", "192.0.2.2"]
            .map(|text| clients.enter(client(text), false, now).unwrap());
        places[0].log_in("louen");
        places[1].log_in("louen");
        assert_eq!(places[0].count(Count::Messages, now), Ok(()));
        assert!(places[1].count(Count::Messages, now).is_err(), "by whatever address");
        assert_eq!(places[2].count(Count::Messages, now), Ok(()), "not logged in");
        for _ in 0..2 {
            assert_eq!(places[2].check(Count::AuthFailures, now), Ok(()));
            assert_eq!(places[2].count(Count::AuthFailures, now), Ok(()));
        }
        assert!(places[1].check(Count::AuthFailures, now).is_err());
        assert_eq!(places[0].check(Count::AuthFailures, now), Ok(()));
    }

    #[test]
    fn who_is_exempt_is_never_refused() {
        let (clients, now) = (Clients::new(LIMITS), Instant::now());
        let places: Vec<_> =
            (0..100).map(|_| clients.enter(client("10.0.0.1"), true, now).unwrap()).collect();
        assert!(places.iter().all(|place| place.count(Count::Messages, now).is_ok()));
        assert_eq!(at_once(&clients, "10.0.0.1"), 0);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_those_who_are_there() {
        let (clients, now) = (Clients::new(LIMITS), Instant::now());
        let one = clients.enter(client("203.0.113.1"), false, now).unwrap();
        for number in 0..u32::try_from(CLIENTS).unwrap() + 10 {
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            drop(clients.enter(address, false, now).unwrap());
        }
        assert!(clients.0.known.lock().len() <= CLIENTS);
        assert_eq!(at_once(&clients, "203.0.113.1"), 1);
        drop(one);
        assert_eq!(at_once(&clients, "203.0.113.1"), 0);
    }
}
