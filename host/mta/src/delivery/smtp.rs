//! An attempt by SMTP: the servers of the next hop in turn, until every recipient has an outcome.
//!
//! As Postfix: a server that can't be reached, doesn't talk to us, or says "later" gives way to the
//! next one for the recipients that have no outcome yet. But once all of a message was sent and the
//! answer is missing, the attempt ends: the next server could only make a second copy.

use std::sync::Arc;

use facteur_policy::SmtpRoute;
use facteur_smtp::{ClientStage, Envelope, EnvelopeRecipient, GivenReply, Reply, status};
use facteur_spool::{End, Recipient, Timestamp};
use tokio::time::Instant;

use super::attempt::{Attempt, Attempted};
use super::connection::{Connection, Sent};
use super::opening::{self, Key, Silent};
use super::outcome::{Outcome, Remote};
use super::pool::Pool;
use super::settings::Settings;
use super::stop::Stop;
use super::targets::{self, Own, Target};

/// Servers of a next hop that are talked to in one attempt (Postfix's `smtp_mx_session_limit`).
pub(super) const SESSION_LIMIT: usize = 2;

/// The SMTP client.
pub struct Smtp {
    pool: Arc<Pool>,
}

/// What a server made of the message.
struct Talk {
    sent: Sent,
    /// Who said so.
    remote: Remote,
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
        let targets = match found {
            Some(Ok(targets)) => targets,
            Some(Err(nowhere)) => {
                return attempt.all(&Outcome::refused(nowhere.reply, None), nowhere.definite);
            }
            None => return attempt.stopped(),
        };
        let mut targets = keyed(settings, route, attempt, targets);
        // Among equals, those that a connection is open to come first.
        targets.sort_by_key(|(target, key)| {
            let is_open = key.as_ref().is_ok_and(|key| self.pool.has(key));
            ((target.hop, target.preference), !is_open)
        });
        let best = targets.first().map(|(target, _)| target.preference);
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
        for (target, key) in targets {
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
            let talk = match key {
                Ok(key) => self.talk(settings, key, &target, attempt, &envelope, stop).await,
                Err(reply) => Err(Silent::Insecure(reply)),
            };
            let talk = match talk {
                Ok(talk) => talk,
                Err(Silent::Stopped) => {
                    stopped = true;
                    break;
                }
                Err(Silent::Unreachable(reply)) => {
                    all(&mut outcomes, &open, &reply);
                    continue;
                }
                Err(Silent::Insecure(reply)) => {
                    all(&mut outcomes, &open, &reply);
                    // It is there: another message may fare better.
                    reached = true;
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
                let remote = (!ours).then(|| talk.remote.clone());
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
        key: Key,
        target: &Target,
        attempt: &Attempt<'_>,
        envelope: &Envelope,
        stop: &Stop,
    ) -> Result<Talk, Silent> {
        if let Some(connection) = self.pool.take(&key) {
            let talk =
                self.send(settings, key.clone(), connection, attempt, envelope, stop).await?;
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
        let age = Timestamp::now().0.saturating_sub(attempt.message.received_at.0);
        let is_old = u128::from(age) >= settings.plain_after.as_millis();
        let opening = Box::pin(opening::open(settings, target, &key, is_old));
        let connection = stop.or(opening).await.ok_or(Silent::Stopped)??;
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
        let (peer, tls) = (connection.peer().to_owned(), connection.secured().cloned());
        let remote = Remote { peer, tls };
        // A server that knows of notices takes ours over (RFC 3461 section 5.2.1).
        let owed = (!connection.capabilities().dsn).then_some(End::Relayed);
        if sent.reusable {
            self.pool.give(key, connection, settings.smtp.idle_connection);
        } else if sent.lost.is_none() {
            connection.leave();
        }
        Ok(Talk { sent, remote, owed })
    }

    /// Says QUIT on the idle connections.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// Each server with what connections to it are kept by, or why it can't be talked to.
fn keyed(
    settings: &Settings,
    route: &SmtpRoute,
    attempt: &Attempt<'_>,
    targets: Vec<Target>,
) -> Vec<(Target, Result<Key, Reply>)> {
    let hops: Vec<_> = route.hops().map(|hop| (hop, settings.tls.policy(hop))).collect();
    let with_key = |target: Target| {
        let (hop, policy) = hops.get(target.hop)?;
        let key = policy.clone();
        let key = key.and_then(|policy| Key::of(settings, hop, &policy, &target, attempt.sender));
        Some((target, key))
    };
    targets.into_iter().filter_map(with_key).collect()
}

/// The same for all that are open, in our words.
fn all(outcomes: &mut [Outcome], open: &[usize], reply: &Reply) {
    for &index in open {
        outcomes[index] = Outcome::refused(reply.clone(), None);
    }
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
