//! A client logs in: carries an exchange between the machine and those who judge it, counts and
//! says how long the answer to a failure waits, and has a line in the log for each.
//!
//! Invariants: what proves a login is in no line; a client hears nothing of why it failed.

use std::net::SocketAddr;
use std::time::Duration;

use facteur_policy::SessionFacts;
use facteur_smtp::{AuthError, AuthOffer, Reply, Secret};

use crate::auth::{Attempt, Binding, Connection, Exchange, Outcome, Parties, Step};
use crate::receive::admission::Admitted;
use crate::receive::clients::Count;
use crate::receive::mta::Mta;
use crate::snapshot::Snapshot;

/// Characters of a login, or of somebody's reason, in a line of the log.
const SHOWN: usize = 100;

/// What a login is about: the session, and those who know.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub mta: &'a Mta,
    pub snapshot: &'a Snapshot,
    pub facts: &'a SessionFacts,
    pub policy: &'a facteur_policy::Session,
    pub admitted: &'a Admitted,
}

/// What the client hears.
pub(super) enum Said {
    Challenge(Vec<u8>),
    Reply(Reply),
    /// It failed, which the client hears after this time, by a challenge or by what
    /// [`Login::refused`] says. The attempt is under way until then.
    Refused {
        after: Duration,
        challenge: Option<Vec<u8>>,
    },
}

/// How far a client is with it.
pub(super) struct Login {
    connection: Connection,
    under_way: Option<Box<UnderWay>>,
}

struct UnderWay {
    mechanism: String,
    exchange: Exchange,
    attempt: Attempt,
    /// The client is refused, and has yet to answer to what it heard first.
    refused: bool,
}

impl Login {
    /// Over a connection without TLS.
    pub(super) fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let connection = Connection { client, server, tls: false, binding: Binding::default() };
        Self { connection, under_way: None }
    }

    /// The connection is under TLS from here.
    pub(super) fn under_tls(&mut self, connection: &rustls::ServerConnection) {
        self.connection.tls = true;
        self.connection.binding = Binding::to(connection);
        self.under_way = None;
    }

    /// The connection is to be taken for one between these.
    pub(super) fn is_between(&mut self, client: SocketAddr, server: SocketAddr) {
        self.connection.client = client;
        self.connection.server = server;
        self.under_way = None;
    }

    /// How this client may log in. May ask Dovecot, or read the table of users.
    pub(super) async fn offer(&mut self, about: About<'_>) -> AuthOffer {
        let authenticator = &about.snapshot.authenticator;
        if authenticator.needs_tls(&self.connection) {
            return AuthOffer::UnderTls;
        }
        let plugins = about.policy.authenticates();
        match authenticator.mechanisms(plugins, &self.connection).await {
            mechanisms if mechanisms.is_empty() => AuthOffer::Later,
            mechanisms => AuthOffer::Mechanisms(mechanisms),
        }
    }

    /// AUTH came.
    pub(super) async fn begin(
        &mut self,
        about: About<'_>,
        mechanism: String,
        initial: Option<Secret>,
    ) -> Said {
        if let Err(reply) = about.admitted.check(Count::AuthFailures, about.facts.client_ip()) {
            about.warn(&undecided(&mechanism, "too many failures", None));
            return Said::Reply(reply);
        }
        let Some(attempt) = about.mta.failures.begin(self.connection.client.ip()) else {
            about.warn(&undecided(&mechanism, "too many at once", None));
            return Said::Reply(Reply::auth_later());
        };
        let initial = initial.as_ref().map(Secret::as_bytes);
        let (exchange, step) =
            Exchange::begin(about.parties(&self.connection), &mechanism, initial).await;
        self.under_way = Some(Box::new(UnderWay { mechanism, exchange, attempt, refused: false }));
        self.took(about, step)
    }

    /// The answer to a challenge came.
    pub(super) async fn answer(&mut self, about: About<'_>, response: Secret) -> Said {
        // The machine keeps the order; if it ever doesn't, nobody is let in.
        let Some(under_way) = &mut self.under_way else { return Said::Reply(Reply::auth_later()) };
        if under_way.refused {
            return Said::Reply(self.refused());
        }
        let parties = about.parties(&self.connection);
        let step = under_way.exchange.answer(parties, response.as_bytes()).await;
        self.took(about, step)
    }

    /// The attempt is over, and failed.
    pub(super) fn refused(&mut self) -> Reply {
        self.under_way = None;
        Reply::auth_failed()
    }

    /// The client left it.
    pub(super) fn aborted(&mut self, about: About<'_>, error: AuthError) {
        if let Some(under_way) = self.under_way.take().filter(|it| !it.refused) {
            // It has learnt nothing about any login.
            about.warn(&format!("SASL {} authentication aborted: {error}", under_way.mechanism));
        }
    }

    fn took(&mut self, about: About<'_>, step: Step) -> Said {
        let outcome = match step {
            Step::Challenge(challenge) => return Said::Challenge(challenge),
            Step::Done(outcome) => outcome,
        };
        let Some(mut under_way) = self.under_way.take() else {
            return Said::Reply(Reply::auth_later());
        };
        let UnderWay { mechanism, exchange, attempt, .. } = &*under_way;
        let login = exchange.login.as_deref();
        match outcome {
            Outcome::Login(login) => {
                // A plugin's answer has set it already. There is one for a session.
                about.facts.set_login(login);
                about.facts.set_mechanism(mechanism.clone());
                let login = about.facts.login().unwrap_or_default();
                tracing::info!(client = %about.facts.client_ip(), mechanism, login, "logged in");
                Said::Reply(Reply::logged_in())
            }
            Outcome::Refused { reason, challenge } => {
                about.warn(&failed(mechanism, &reason, login));
                // This one is judged: the next isn't, if it is one too many.
                let _ = about.admitted.count(Count::AuthFailures, about.facts.client_ip());
                // Before anything is said: whoever guesses needs no more than the first word.
                let after = attempt.failed(login, about.snapshot.authenticator.delay);
                under_way.refused = true;
                self.under_way = Some(under_way);
                Said::Refused { after, challenge }
            }
            Outcome::Later { reason } => {
                about.warn(&undecided(mechanism, &reason, login));
                Said::Reply(Reply::auth_later())
            }
        }
    }
}

impl<'a> About<'a> {
    fn parties(self, connection: &'a Connection) -> Parties<'a> {
        let authenticator = &self.snapshot.authenticator;
        Parties { authenticator, policy: self.policy, connection }
    }

    /// A line as Postfix has it, which programs that shut clients out look for.
    fn warn(self, what: &str) {
        let client = self.facts.client_ip();
        if self.mta.repeats.is_told(client) {
            let name = self.facts.known_name().unwrap_or("unknown");
            tracing::warn!("warning: {name}[{client}]: {what}");
        }
    }
}

fn failed(mechanism: &str, reason: &str, login: Option<&str>) -> String {
    told(mechanism, "failed", reason, login)
}

/// In other words than a failure: nobody is to be shut out because we can't tell.
fn undecided(mechanism: &str, reason: &str, login: Option<&str>) -> String {
    told(mechanism, "undecided", reason, login)
}

fn told(mechanism: &str, what: &str, reason: &str, login: Option<&str>) -> String {
    let login = login.map_or_else(|| "(unavailable)".to_owned(), shown);
    let reason = shown(reason);
    format!("SASL {mechanism} authentication {what}: {reason}, sasl_username={login}")
}

/// The text without what would end a line, and not too long.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect()
}
