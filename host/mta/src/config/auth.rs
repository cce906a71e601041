//! `[auth]`: who knows the users that may log in.

use std::time::Duration;

use super::reader::{Section, Value};
use super::report::Kind;
use super::scanner::endpoint;
use crate::config::endpoint::Endpoint;

/// `[auth]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Who knows the users. Default: the plugins with the hook `on-authenticate` alone.
    pub source: AuthSource,
    /// Clients must come under TLS to say who they are. Default: true, unlike Postfix
    /// (`smtpd_tls_auth_only`): a password in the clear is everybody's.
    pub tls_only: bool,
    /// Exchanges with Dovecot at once, each a connection. Default 256: whoever comes then hears
    /// 454.
    pub concurrency: usize,
    /// How long the answer to a first failure waits; doubled for each more of a client or a login.
    /// Default 1 s.
    pub failure_delay: Duration,
    /// The longest of these. Default 15 s: programs wait for longer, and guesses come to nothing.
    pub failure_delay_limit: Duration,
}

/// Who knows the users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthSource {
    /// Plugins alone.
    Plugins,
    /// A table of logins with what `facteur passwd` makes; then the plugins.
    Users(String),
    /// Dovecot alone, at its auth socket (`smtpd_sasl_path`).
    Dovecot(Endpoint),
}

/// A client that waits for longer gives up.
const LONGEST: Duration = Duration::from_mins(2);

/// Reads the section.
pub(super) fn read(section: &mut Section<'_>) -> Auth {
    let users = section.get("users", |value| value.name_of(Kind::Table));
    let dovecot = section.value("dovecot");
    if let (Some(_), Some(dovecot)) = (&users, &dovecot) {
        dovecot.error::<()>(
            "users are in a table or Dovecot's, not both",
            "and `users` too",
            "take one of them out",
        );
    }
    let dovecot = dovecot.and_then(|value| endpoint(&value));
    let source = match (users, dovecot) {
        (Some(table), _) => AuthSource::Users(table),
        (None, Some(endpoint)) => AuthSource::Dovecot(endpoint),
        (None, None) => AuthSource::Plugins,
    };
    let delays = Duration::ZERO..=LONGEST;
    Auth {
        source,
        concurrency: section.or("concurrency", 256, |value| value.integer(1..=10_000)),
        tls_only: section.or("tls-only", true, Value::boolean),
        failure_delay: section
            .or("failure-delay", Duration::from_secs(1), |value| value.duration(delays.clone())),
        failure_delay_limit: section
            .or("failure-delay-limit", Duration::from_secs(15), |value| value.duration(delays)),
    }
}
