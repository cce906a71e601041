//! A callout: asks the servers of a next hop whether they take mail for an address, and sends none.
//!
//! Only what a server says about the recipient is an answer. One that can't be reached, refuses
//! everyone or doesn't like the sender says nothing about the address.

use facteur_policy::{SmtpRoute, Verified};
use facteur_smtp::{Address, Envelope, EnvelopeRecipient, GivenReply, Reply};
use tokio::time::Instant;

use super::opening::{self, Key, Silent};
use super::settings::Settings;
use super::smtp::SESSION_LIMIT;
use super::targets::{self, Own};

/// Asks them in turn, until one knows.
pub async fn callout(
    settings: &Settings,
    route: &SmtpRoute,
    sender: Option<&Address>,
    address: &Address,
) -> Verified {
    let own = Own { hostname: &settings.hostname, listening: &settings.listening };
    let deadline = Instant::now() + settings.lookups;
    let targets = match targets::find(route, &own, &*settings.names, deadline).await {
        Ok(targets) => targets,
        Err(nowhere) if nowhere.definite && nowhere.reply.is_permanent() => {
            return Verified::Undeliverable(nowhere.reply);
        }
        Err(nowhere) => return Verified::Unknown(nowhere.reply.text),
    };
    let envelope = Envelope {
        sender: sender.cloned(),
        size: 0,
        utf8: false,
        eight_bit: false,
        ret: None,
        envid: None,
        recipients: vec![EnvelopeRecipient { address: address.clone(), notify: None, orcpt: None }],
    };
    let mut why = "no server could be asked".to_owned();
    let mut sessions = 0;
    for target in targets {
        if sessions == SESSION_LIMIT {
            break;
        }
        let hop = route.hops().nth(target.hop).unwrap_or(route);
        let key = settings.tls.policy(hop);
        let key = key.and_then(|policy| Key::of(settings, hop, &policy, &target, sender));
        let key = match key {
            Ok(key) => key,
            Err(reply) => return Verified::Unknown(reply.text),
        };
        // A question may go in the clear at once where mail may after a while.
        let mut connection = match opening::open(settings, &target, &key, true).await {
            Ok(connection) => connection,
            Err(Silent::Unreachable(reply) | Silent::Insecure(reply)) => {
                why = reply.text;
                continue;
            }
            Err(Silent::Ourselves(_)) => {
                return Verified::Unknown(Reply::loops_back(&route.host).text);
            }
            Err(Silent::Stopped) => break,
        };
        sessions += 1;
        let said = connection.verify(&envelope).await;
        let peer = connection.peer().to_owned();
        connection.leave();
        match said {
            GivenReply { reply, .. } if reply.is_positive() => return Verified::Deliverable,
            GivenReply { reply, ours: true } if reply.is_permanent() => {
                return Verified::Undeliverable(reply);
            }
            GivenReply { mut reply, ours: false } if reply.is_permanent() => {
                reply.text = format!("host {peer} said: {}", reply.text);
                return Verified::Undeliverable(reply);
            }
            GivenReply { reply, ours: true } => why = reply.text,
            GivenReply { reply, ours: false } => why = format!("host {peer} said: {reply}"),
        }
    }
    Verified::Unknown(why)
}

#[cfg(test)]
#[path = "callout_tests.rs"]
mod tests;
