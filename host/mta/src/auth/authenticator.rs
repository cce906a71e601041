//! `[auth]`, at work: whom to ask who a client is, and by which mechanisms clients may say it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::connection::Connection;
use super::dovecot::Dovecot;
use super::failures::{Delay, Failures};
use super::room::Room;
use super::secret::Secret;
use super::users::Users;
use crate::config;
use crate::tables::Tables;

/// What belongs to the program, whatever configuration is in force. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    room: Arc<Room>,
    secret: Arc<OnceLock<Secret>>,
    /// Who failed.
    pub failures: Failures,
}

impl Default for Shared {
    fn default() -> Self {
        Self { room: Arc::new(Room::new()), secret: Arc::default(), failures: Failures::default() }
    }
}

impl Shared {
    /// The number that made-up users come from: the one in this folder, or one for this process.
    fn secret(&self, folder: Option<&Path>) -> Result<Secret, String> {
        if let Some(secret) = self.secret.get() {
            return Ok(secret.clone());
        }
        let secret = match folder {
            Some(folder) => Secret::open(folder).map_err(|error| error.to_string())?,
            None => Secret::random().map_err(|error| format!("there is no randomness: {error}"))?,
        };
        Ok(self.secret.get_or_init(|| secret).clone())
    }
}

/// Whom to ask.
pub(super) enum Source {
    /// The plugins of the listener's chain alone.
    Plugins,
    /// A table, and then those.
    Users(Users),
    /// Dovecot alone.
    Dovecot(Dovecot),
}

/// Knows, or knows who knows, who a client is.
pub struct Authenticator {
    pub(super) source: Source,
    pub(super) room: Arc<Room>,
    tls_only: bool,
    /// How long those who fail wait.
    pub delay: Delay,
}

impl Authenticator {
    /// Asks nobody yet. `folder`: where the program keeps what outlives it; none where nothing is
    /// to be written. Reads a file: never on the event loop.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(
        config: &config::Auth,
        tables: &Arc<Tables>,
        shared: &Shared,
        folder: Option<&Path>,
    ) -> Result<Self, String> {
        let source = match &config.source {
            config::AuthSource::Plugins => Source::Plugins,
            config::AuthSource::Dovecot(endpoint) => {
                Source::Dovecot(Dovecot::new(endpoint.clone(), config.concurrency))
            }
            config::AuthSource::Users(table) => {
                Source::Users(Users::new(table.clone(), tables.clone(), shared.secret(folder)?))
            }
        };
        let delay = Delay { first: config.failure_delay, longest: config.failure_delay_limit };
        Ok(Self { source, room: shared.room.clone(), tls_only: config.tls_only, delay })
    }

    /// What is wrong with the users, a line each. Reads all of them: never on the event loop.
    pub fn check(&self) -> Vec<String> {
        if let Source::Users(users) = &self.source { users.check() } else { Vec::new() }
    }

    /// Whether clients must come under TLS to say who they are.
    pub fn needs_tls(&self, connection: &Connection) -> bool {
        self.tls_only && !connection.tls
    }

    /// The mechanisms, the best first; `plugins`: some of the listener's chain can be asked.
    pub async fn mechanisms(&self, plugins: bool, connection: &Connection) -> Vec<String> {
        let mut names = Vec::new();
        match &self.source {
            Source::Dovecot(dovecot) => match dovecot.mechanisms().await {
                Ok(mechanisms) => return mechanisms,
                Err(error) => tracing::error!(%error, "Dovecot can't be asked who a client is"),
            },
            // A client takes the best that it can, and plugins don't know this one.
            Source::Users(users) => {
                if !plugins && users.all_have_scram().await {
                    if connection.binding.is_there() {
                        names.push("SCRAM-SHA-256-PLUS");
                    }
                    names.push("SCRAM-SHA-256");
                }
                names.extend(["PLAIN", "LOGIN"]);
            }
            Source::Plugins if plugins => names.extend(["PLAIN", "LOGIN"]),
            Source::Plugins => {}
        }
        if plugins && !matches!(self.source, Source::Dovecot(_)) {
            names.extend(["OAUTHBEARER", "XOAUTH2"]);
        }
        names.into_iter().map(str::to_owned).collect()
    }
}
