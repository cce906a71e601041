//! An attempt by SMTP: the servers of the next hop in turn, until every recipient has an outcome.
//!
//! As Postfix: a server that can't be reached, doesn't talk to us, or says "later" gives way to the
//! next one for the recipients that have no outcome yet. But once all of a message was sent and the
//! answer is missing, the attempt ends: the next server could only make a second copy.

use std::net::IpAddr;
use std::sync::Arc;

use facteur_policy::SmtpRoute;
use facteur_smtp::{ClientStage, Envelope, EnvelopeRecipient, GivenReply, Reply, status};
use facteur_spool::{End, Recipient};
use tokio::time::Instant;

use super::attempt::{Attempt, Attempted};
use super::connection::{Connection, Sent, Unreachable};
use super::outcome::Outcome;
use super::pool::{Key, Pool};
use super::settings::Settings;
use super::stop::Stop;
use super::targets::{self, Own, Target};
use crate::config::SmtpClient;

/// Servers of a next hop that are talked to in one attempt (Postfix's `smtp_mx_session_limit`).
pub(super) const SESSION_LIMIT: usize = 2;
/// The port on which a server with our name is ourselves.
const SMTP_PORT: u16 = 25;

/// The SMTP client.
pub struct Smtp {
    pool: Arc<Pool>,
}

/// Why a server wasn't given the message.
enum Silent {
    /// No connection, or no welcome.
    Unreachable(Reply),
    /// It has our name.
    Ourselves(String),
    /// The program is ending.
    Stopped,
}

/// What a server made of the message.
struct Talk {
    sent: Sent,
    /// `host[address]:port`.
    peer: String,
    /// What we owe the sender a notice of.
    owed: Option<End>,
}

impl Smtp {
    /// Keeps so many idle connections at most.
    pub fn new(idle_connections: usize) -> Self {
        Self { pool: Arc::new(Pool::new(idle_connections)) }
    }

    /// Tries it.
    pub async fn attempt(
        &self,
        settings: &Settings,
        attempt: &Attempt<'_>,
        route: &SmtpRoute,
        stop: &Stop,
    ) -> Attempted {
        let own = Own { hostname: &settings.hostname, listening: &settings.listening };
        let deadline = Instant::now() + settings.lookups;
        let found = stop.or(targets::find(route, &own, &*settings.names, deadline)).await;
        let mut targets = match found {
            Some(Ok(targets)) => targets,
            Some(Err(nowhere)) => {
                return attempt.all(&Outcome::refused(nowhere.reply, None), nowhere.definite);
            }
            None => return attempt.stopped(),
        };
        // Among equals, those that a connection is open to come first.
        targets.sort_by_key(|target| {
            (
                (target.hop, target.preference),
                !self.pool.has(&(target.address, source(&settings.smtp, route, target))),
            )
        });
        let best = targets.first().map(|target| target.preference);
        let mut outcomes = vec![
            Outcome::refused(
                Reply::new(450, status::NO_ANSWER, "no server could be tried"),
                None
            );
            attempt.recipients.len()
        ];
        // Who has no final outcome yet; their outcome so far is a deferral.
        let mut open: Vec<usize> = (0..outcomes.len()).collect();
        let (mut reached, mut sessions, mut hop, mut stopped) = (false, 0, 0, false);
        for target in targets {
            if open.is_empty() {
                break;
            }
            if target.hop != hop {
                (hop, sessions) = (target.hop, 0);
            }
            if sessions == SESSION_LIMIT {
                continue;
            }
            let envelope = envelope(attempt, open.iter().map(|&index| attempt.recipients[index]));
            let talk = match self.talk(settings, route, &target, attempt, &envelope, stop).await {
                Ok(talk) => talk,
                Err(Silent::Stopped) => {
                    stopped = true;
                    break;
                }
                Err(Silent::Unreachable(reply)) => {
                    all(&mut outcomes, &open, &reply);
                    continue;
                }
                Err(Silent::Ourselves(peer)) => {
                    let reply = if hop == 0 && best == Some(target.preference) {
                        Reply::loops_back(&route.host)
                    } else {
                        Reply::new(
                            450,
                            status::ROUTING_LOOP,
                            format!("mailer {peer} has my own name"),
                        )
                    };
                    all(&mut outcomes, &open, &reply);
                    // Who comes after ourselves isn't asked; the next hop is.
                    (reached, sessions) = (true, SESSION_LIMIT);
                    continue;
                }
            };
            reached = true;
            sessions += 1;
            let in_doubt = talk.sent.lost == Some(ClientStage::EndOfData);
            let ends = in_doubt || talk.sent.unreadable;
            let mut later = Vec::new();
            for (index, GivenReply { reply, ours }) in open.into_iter().zip(talk.sent.answers) {
                let remote = (!ours).then(|| talk.peer.clone());
                if !reply.is_positive() && !reply.is_permanent() && !ends {
                    later.push(index);
                }
                outcomes[index] = if reply.is_positive() {
                    Outcome::Delivered { reply, remote, owed: talk.owed }
                } else {
                    Outcome::refused(reply, remote)
                };
            }
            open = later;
        }
        Attempted { outcomes, reached, stopped }
    }

    /// Gives the message to one server, by a connection that is kept or by a new one.
    async fn talk(
        &self,
        settings: &Settings,
        route: &SmtpRoute,
        target: &Target,
        attempt: &Attempt<'_>,
        envelope: &Envelope,
        stop: &Stop,
    ) -> Result<Talk, Silent> {
        let source = source(&settings.smtp, route, target);
        let key = (target.address, source);
        if let Some(connection) = self.pool.take(&key) {
            let talk = self.send(settings, key, connection, attempt, envelope, stop).await?;
            // A server may end an idle connection at any moment. It took nothing if it didn't even
            // answer MAIL.
            let was_dead = matches!(
                talk.sent.lost,
                Some(ClientStage::Ready | ClientStage::Reset | ClientStage::Mail)
            );
            if !was_dead {
                return Ok(talk);
            }
        }
        let opening =
            Connection::open(target, source, &settings.smtp.helo, &settings.smtp.timeouts);
        let opened = stop.or(opening).await.ok_or(Silent::Stopped)?;
        let connection = opened.map_err(|Unreachable(reply)| Silent::Unreachable(reply))?;
        if is_ourselves(&connection, target, settings) {
            let peer = connection.peer().to_owned();
            connection.leave();
            return Err(Silent::Ourselves(peer));
        }
        self.send(settings, key, connection, attempt, envelope, stop).await
    }

    async fn send(
        &self,
        settings: &Settings,
        key: Key,
        mut connection: Connection,
        attempt: &Attempt<'_>,
        envelope: &Envelope,
        stop: &Stop,
    ) -> Result<Talk, Silent> {
        let (doubt, message) = (connection.doubt(), attempt.message);
        let sending = connection.send(envelope, &message.header, &message.body);
        let sent = stop.or_in_doubt(&doubt, sending).await.ok_or(Silent::Stopped)?;
        let peer = connection.peer().to_owned();
        // A server that knows of notices takes ours over (RFC 3461 section 5.2.1).
        let owed = (!connection.capabilities().dsn).then_some(End::Relayed);
        if sent.reusable {
            self.pool.give(key, connection, settings.smtp.idle_connection);
        } else if sent.lost.is_none() {
            connection.leave();
        }
        Ok(Talk { sent, peer, owed })
    }

    /// Says QUIT on the idle connections.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// Whether the server has our name, where only we can be meant by it.
pub(super) fn is_ourselves(connection: &Connection, target: &Target, settings: &Settings) -> bool {
    target.address.port() == SMTP_PORT
        && connection.capabilities().name.eq_ignore_ascii_case(&settings.hostname)
}

/// The same for all that are open, in our words.
fn all(outcomes: &mut [Outcome], open: &[usize], reply: &Reply) {
    for &index in open {
        outcomes[index] = Outcome::refused(reply.clone(), None);
    }
}

/// The local address to connect from: the route's, or the configured one of this kind.
pub(super) fn source(settings: &SmtpClient, route: &SmtpRoute, target: &Target) -> Option<IpAddr> {
    route.source.or_else(|| {
        if target.address.is_ipv4() {
            settings.source_ipv4.map(IpAddr::V4)
        } else {
            settings.source_ipv6.map(IpAddr::V6)
        }
    })
}

fn envelope<'a>(
    attempt: &Attempt<'_>,
    recipients: impl Iterator<Item = &'a Recipient>,
) -> Envelope {
    let message = attempt.message;
    let recipient = |recipient: &Recipient| EnvelopeRecipient {
        address: recipient.address.clone(),
        notify: recipient.notify,
        orcpt: recipient.orcpt.clone().or_else(|| original(recipient)),
    };
    Envelope {
        sender: attempt.sender.cloned(),
        size: message.size,
        utf8: message.utf8,
        eight_bit: message.eight_bit,
        ret: message.ret,
        envid: message.envid.clone(),
        recipients: recipients.map(recipient).collect(),
    }
}

/// The ORCPT of a recipient that came without: the address it was before it was rewritten (RFC 3461
/// section 5.2.1 lets a relay add it). One that isn't ASCII needs a form that few servers read, and
/// is left out.
fn original(recipient: &Recipient) -> Option<String> {
    let original = &recipient.original;
    (!original.is_bare() && original.as_unquoted().is_ascii()).then(|| format!("rfc822;{original}"))
}

#[cfg(test)]
#[path = "smtp_tests.rs"]
mod tests;
