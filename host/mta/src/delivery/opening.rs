//! Opens a connection that is as its next hop wants it: to a server that isn't ourselves, with as
//! much TLS as there must be, logged in where we have a login.
//!
//! Only where TLS may be done without is mail sent in the clear: where a server doesn't offer it or
//! refuses it, and, after a handshake that failed, where the caller says that it has waited long
//! enough. What must have TLS waits, with the reason; and a password never goes in the clear unless
//! the operator says so. A server that refuses a login fails no message: it waits, as with
//! Postfix's `smtp_sasl_auth_soft_bounce`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use facteur_policy::SmtpRoute;
use facteur_smtp::{Address, Reply, status};

use super::connection::{Connection, Insecure, Unreachable};
use super::logins::Login;
use super::security::{DeliveryTls, Security};
use super::settings::Settings;
use super::targets::Target;
use crate::auth::{Initiator, Mechanism};
use crate::config::{SmtpClient, TlsLevel, TlsPolicy};

/// The port on which a server with our name is ourselves.
const SMTP_PORT: u16 = 25;

/// Connections that are the same to a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The server's.
    pub address: SocketAddr,
    /// Ours, if that is said.
    pub source: Option<IpAddr>,
    /// What it must be.
    pub security: Arc<Security>,
}

/// Why a server wasn't given the message.
pub enum Silent {
    /// No connection, or no welcome.
    Unreachable(Reply),
    /// No TLS, where it may be done without later.
    Insecure(Reply),
    /// It has our name.
    Ourselves(String),
    /// The program is ending.
    Stopped,
}

impl Key {
    /// Of a server of this next hop, for mail of this sender.
    ///
    /// # Errors
    /// The 4yz to defer with.
    pub fn of(
        settings: &Settings,
        hop: &SmtpRoute,
        policy: &TlsPolicy,
        target: &Target,
        sender: Option<&Address>,
    ) -> Result<Self, Reply> {
        let security = Security {
            login: settings.logins.find(sender, hop, target)?,
            login_in_the_clear: settings.logins_in_the_clear,
            ..Security::of(policy, hop, &target.host)
        };
        Ok(Self {
            address: target.address,
            source: source(&settings.smtp, hop, target),
            security: Arc::new(security),
        })
    }
}

/// Connects, says hello, agrees on TLS, and logs in. `may_fall_back`: what may go in the clear does
/// so if a handshake fails.
pub async fn open(
    settings: &Settings,
    target: &Target,
    key: &Key,
    may_fall_back: bool,
) -> Result<Connection, Silent> {
    let mut connection = match open_once(settings, target, key, &key.security).await? {
        Ok(connection) => connection,
        Err(reply) => match key.security.in_the_clear() {
            // Whoever comes next fares no better.
            None => return Err(Silent::Unreachable(reply)),
            Some(_) if !may_fall_back => return Err(Silent::Insecure(reply)),
            Some(plain) => {
                tracing::warn!(host = target.host, why = reply.text, "tried without TLS");
                open_once(settings, target, key, &plain).await?.map_err(Silent::Unreachable)?
            }
        },
    };
    if let Some(login) = &key.security.login
        && let Err(reply) = log_in(&mut connection, login, &key.security).await
    {
        connection.leave();
        return Err(Silent::Unreachable(reply));
    }
    Ok(connection)
}

/// Logs in, by the best mechanism that the server offers.
async fn log_in(
    connection: &mut Connection,
    login: &Login,
    security: &Security,
) -> Result<(), Reply> {
    let lacking = |text: String| Err(Reply::new(450, status::SECURITY_LACKS, text));
    let peer = connection.peer();
    if connection.secured().is_none() && !security.login_in_the_clear {
        return lacking(format!("a login needs TLS, and host {peer} is talked to without"));
    }
    let offered = &connection.capabilities().auth;
    let fits = |one: &&Mechanism| match login.mechanism {
        None => **one != Mechanism::Xoauth2,
        Some(only) => **one == only,
    };
    let is_offered = |one: &&Mechanism| offered.iter().any(|name| name == one.name());
    let Some(mechanism) = Mechanism::ALL.iter().filter(fits).find(is_offered) else {
        return lacking(match offered.len() {
            0 => format!("there is a login for host {peer}, which offers no AUTH"),
            _ => format!("host {peer} offers AUTH by {} only", offered.join(", ")),
        });
    };
    connection.log_in(Initiator::new(*mechanism, &login.user, &login.password)).await
}

/// Connects and agrees on TLS once; an error inside is that of a handshake.
async fn open_once(
    settings: &Settings,
    target: &Target,
    key: &Key,
    security: &Security,
) -> Result<Result<Connection, Reply>, Silent> {
    let smtp = &settings.smtp;
    let opened = Connection::open(target, key.source, &smtp.helo, &smtp.timeouts).await;
    let mut connection = opened.map_err(|Unreachable(reply)| Silent::Unreachable(reply))?;
    if is_ourselves(&connection, target, settings) {
        let peer = connection.peer().to_owned();
        connection.leave();
        return Err(Silent::Ourselves(peer));
    }
    if security.level == TlsLevel::None {
        return Ok(Ok(connection));
    }
    let lacking = |text: String| Reply::new(450, status::SECURITY_LACKS, text);
    let peer = connection.peer().to_owned();
    if !connection.capabilities().starttls {
        if security.may_be_plain() {
            return Ok(Ok(connection));
        }
        connection.leave();
        let text = format!("TLS is required, but was not offered by host {peer}");
        return Err(Silent::Unreachable(lacking(text)));
    }
    let DeliveryTls { client, .. } = &settings.tls;
    match connection.secure(client, security, &target.host).await {
        Ok(secured) => {
            tracing::info!(relay = peer, tls = %secured, "TLS");
            Ok(Ok(connection))
        }
        Err(Insecure::Refused(_)) if security.may_be_plain() => Ok(Ok(connection)),
        Err(Insecure::Refused(reply)) => {
            connection.leave();
            let text = format!("TLS is required, but host {peer} refused to start TLS: {reply}");
            Err(Silent::Unreachable(lacking(text)))
        }
        Err(Insecure::Failed(why)) => {
            let text = format!("Cannot start TLS: handshake failure with {peer}: {why}");
            Ok(Err(Reply::new(450, status::CRYPTOGRAPHY, text)))
        }
        Err(Insecure::Distrusted(why)) => {
            let text = format!("Server certificate of {peer} not verified: {why}");
            Err(Silent::Unreachable(Reply::new(450, status::CRYPTOGRAPHY, text)))
        }
    }
}

/// Whether the server has our name, where only we can be meant by it.
fn is_ourselves(connection: &Connection, target: &Target, settings: &Settings) -> bool {
    target.address.port() == SMTP_PORT
        && connection.capabilities().name.eq_ignore_ascii_case(&settings.hostname)
}

/// The local address to connect from: the route's, or the configured one of this kind.
fn source(settings: &SmtpClient, route: &SmtpRoute, target: &Target) -> Option<IpAddr> {
    route.source.or_else(|| {
        if target.address.is_ipv4() {
            settings.source_ipv4.map(IpAddr::V4)
        } else {
            settings.source_ipv6.map(IpAddr::V6)
        }
    })
}
