//! Asks one stage of the restriction chain, and settles what was said.
//!
//! Plugins are asked in order until one ends the stage. The two modifiers don't end it: they are
//! gathered here, and settled at the end of RCPT, where a refusal beats `defer-if-permit`, and
//! `defer-if-reject` beats a refusal.

use std::sync::Arc;

use facteur_smtp::{Reply, status};
use wasmtime::component::Resource;

use crate::asker::{Asker, Question};
use crate::contract::bindings::restriction::exports::facteur::policy::restriction::Stages;
use crate::contract::bindings::{MessageHandle, RecipientHandle, SessionHandle, TransactionHandle};
use crate::contract::sandbox::CallError;
use crate::contract::verdict::Verdict;
use crate::plugin::{OnError, Plugin};

/// Where in a session a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connect,
    Helo,
    Mail,
    /// The recipient's number.
    Rcpt(u32),
    Data,
    EndOfData,
}

impl Stage {
    fn flag(self) -> Stages {
        match self {
            Self::Connect => Stages::CONNECT,
            Self::Helo => Stages::HELO,
            Self::Mail => Stages::MAIL,
            Self::Rcpt(_) => Stages::RCPT,
            Self::Data => Stages::DATA,
            Self::EndOfData => Stages::END_OF_DATA,
        }
    }

    /// Their names, in the order of a session.
    pub(crate) const NAMES: [(&str, Stages); 6] = [
        ("connect", Stages::CONNECT),
        ("helo", Stages::HELO),
        ("mail", Stages::MAIL),
        ("rcpt", Stages::RCPT),
        ("data", Stages::DATA),
        ("end-of-data", Stages::END_OF_DATA),
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Mail => "mail",
            Self::Rcpt(_) => "rcpt",
            Self::Data => "data",
            Self::EndOfData => "end-of-data",
        }
    }
}

/// What a chain said, so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    pub outcome: Outcome,
    pub defer_if_permit: Option<Reply>,
    pub defer_if_reject: Option<Reply>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nobody minds.
    #[default]
    Open,
    AllowRelay,
    Refuse(Reply),
    Drop(Reply),
    Discard,
}

impl Settled {
    /// Whether later stages need not be asked.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self.outcome, Outcome::Open | Outcome::AllowRelay)
    }

    /// The reply to a refusal, with `defer-if-reject` taken into account.
    pub(crate) fn refusal(&self, reply: Reply) -> Reply {
        match &self.defer_if_reject {
            Some(later) if reply.is_permanent() => later.clone(),
            _ => reply,
        }
    }
}

/// Asks the plugins that want this stage and pass the filter; goes on from what the stages before
/// said.
pub(crate) async fn ask(
    asker: &Asker,
    stage: Stage,
    who: impl Fn(&Plugin) -> bool,
    mut settled: Settled,
) -> Settled {
    settled.outcome = Outcome::Open;
    for number in 0..asker.chain.len() {
        let plugin = &asker.chain[number];
        if !plugin.wants(stage.flag()) || !who(plugin) {
            continue;
        }
        let verdict = ask_plugin(asker, number, plugin, stage).await;
        settled.outcome = match verdict {
            Verdict::Dunno => continue,
            Verdict::DeferIfPermit(reply) => {
                settled.defer_if_permit.get_or_insert(reply);
                continue;
            }
            Verdict::DeferIfReject(reply) => {
                settled.defer_if_reject.get_or_insert(reply);
                continue;
            }
            Verdict::Accept => Outcome::Open,
            Verdict::AllowRelay => Outcome::AllowRelay,
            Verdict::Refuse(reply) => Outcome::Refuse(reply),
            Verdict::Drop(reply) => Outcome::Drop(reply),
            Verdict::Discard => Outcome::Discard,
        };
        break;
    }
    settled
}

async fn ask_plugin(asker: &Asker, number: usize, plugin: &Arc<Plugin>, stage: Stage) -> Verdict {
    let Some(hook) = &plugin.hooks.restriction else { return Verdict::Dunno };
    let envelope = asker.envelope.is_some();
    let to = match stage {
        Stage::Rcpt(number) => {
            asker.envelope.as_ref().and_then(|envelope| envelope.recipient(number))
        }
        _ => None,
    };
    let question = Question { name: stage.word(), about: to.as_ref().map(|to| &to.address) };
    let answer = asker
        .ask(number, question, async |store, instance| {
            // Borrows are for one call; the numbers of the session, envelope and message say
            // nothing, since a sandbox has one of each.
            let s = Resource::<SessionHandle>::new_borrow(0);
            let t = Resource::<TransactionHandle>::new_borrow(0);
            let early = envelope.then(|| Resource::<TransactionHandle>::new_borrow(0));
            let answer = match stage {
                Stage::Connect => hook.connect.call(store, instance, (s, early)).await?,
                Stage::Helo => hook.helo.call(store, instance, (s, early)).await?,
                Stage::Mail => hook.mail.call(store, instance, (s, t)).await?,
                Stage::Rcpt(to) => {
                    hook.rcpt
                        .call(store, instance, (s, t, Resource::<RecipientHandle>::new_borrow(to)))
                        .await?
                }
                Stage::Data => hook.data.call(store, instance, (s, t)).await?,
                Stage::EndOfData => {
                    hook.end_of_data
                        .call(store, instance, (s, t, Resource::<MessageHandle>::new_borrow(0)))
                        .await?
                }
            };
            let raw = match answer {
                Ok(raw) => raw,
                Err(failure) => return Ok(Err(failure)),
            };
            let verdict = Verdict::check(raw).map_err(|broken| wasmtime::Error::msg(broken.0))?;
            if verdict == Verdict::AllowRelay {
                if !matches!(stage, Stage::Rcpt(_)) {
                    wasmtime::bail!("allow-relay is for the stage rcpt only");
                }
                plugin.grants.relay(&plugin.name).map_err(wasmtime::Error::msg)?;
            }
            Ok(Ok(verdict))
        })
        .await;
    match answer {
        Ok(verdict) => verdict.unwrap_or(Verdict::Dunno),
        Err(error) => on_error(plugin, &error),
    }
}

/// What follows where a session hears it that the plugin gave no answer.
pub(crate) fn on_error(plugin: &Plugin, error: &CallError) -> Verdict {
    Verdict::Refuse(match (error, plugin.on_error) {
        // The host's own trouble, which passes: no reason to let anything by.
        (CallError::Busy, _) => {
            Reply::new(451, status::NOT_ACCEPTING, "Too busy to decide, try again later")
        }
        (_, OnError::Pass) => return Verdict::Dunno,
        (_, OnError::Defer) => {
            Reply::new(451, status::MISCONFIGURED, "Policy error, try again later")
        }
        (_, OnError::Reject) => Reply::new(554, status::MISCONFIGURED, "Policy error"),
    })
}
