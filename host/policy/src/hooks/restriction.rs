//! Asks one stage of the restriction chain, and settles what was said.
//!
//! Plugins are asked in order until one ends the stage. The two modifiers don't end it: they are
//! gathered here, and settled at the end of RCPT, where a refusal beats `defer-if-permit`, and
//! `defer-if-reject` beats a refusal.

use std::sync::Arc;

use facteur_smtp::{Reply, status};

use crate::contract::bindings::facteur::policy::types;
use crate::contract::checks::Broken;
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::subject::Subject;
use crate::contract::verdict::Verdict;
use crate::dispatch::{Dispatch, Hook};
use crate::facts::RecipientFacts;
use crate::plugin::{OnError, Plugin};
use crate::runtime::error::CallError;

/// One stage.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub stage: HookName,
    /// The recipient of `on-rcpt`.
    pub about: Option<Arc<RecipientFacts>>,
}

impl From<HookName> for Asked {
    fn from(stage: HookName) -> Self {
        Self { stage, about: None }
    }
}

impl Hook for Asked {
    type Raw = types::Verdict;
    type Answer = Verdict;

    fn name(&self) -> HookName {
        self.stage
    }

    fn subject(&self) -> Subject {
        self.about.clone().map_or(Subject::Nothing, Subject::Recipient)
    }

    fn check(
        &self,
        plugin: &Plugin,
        _: &mut Context,
        raw: types::Verdict,
    ) -> Result<Verdict, Broken> {
        let verdict = Verdict::check(raw)?;
        if verdict == Verdict::AllowRelay {
            if self.stage != HookName::Rcpt {
                return Err(Broken("allow-relay is for on-rcpt only".to_owned()));
            }
            plugin.profile.grants.relay(plugin.name()).map_err(Broken)?;
        }
        Ok(verdict)
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
    /// Takes in what a plugin said; whether that ends the stage.
    pub(crate) fn take(&mut self, verdict: Verdict) -> bool {
        self.outcome = match verdict {
            Verdict::NoOpinion => return false,
            Verdict::DeferIfPermit(reply) => {
                self.defer_if_permit.get_or_insert(reply);
                return false;
            }
            Verdict::DeferIfReject(reply) => {
                self.defer_if_reject.get_or_insert(reply);
                return false;
            }
            Verdict::Accept => Outcome::Open,
            Verdict::AllowRelay => Outcome::AllowRelay,
            Verdict::Refuse(reply) => Outcome::Refuse(reply),
            Verdict::Disconnect(reply) => Outcome::Drop(reply),
            Verdict::Discard => Outcome::Discard,
        };
        true
    }

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
    dispatch: &Dispatch,
    asked: Asked,
    who: impl Fn(&Plugin) -> bool,
    mut settled: Settled,
) -> Settled {
    settled.outcome = Outcome::Open;
    for (number, plugin) in dispatch.chain().iter().enumerate() {
        if !plugin.wants(asked.stage) || !who(plugin) {
            continue;
        }
        let verdict = match dispatch.ask(number, &asked).await {
            Ok(verdict) => verdict.unwrap_or(Verdict::NoOpinion),
            Err(error) => on_error(plugin, &error),
        };
        if settled.take(verdict) {
            break;
        }
    }
    settled
}

/// What follows where a session hears it that the plugin gave no answer.
pub(crate) fn on_error(plugin: &Plugin, error: &CallError) -> Verdict {
    Verdict::Refuse(match (error, plugin.on_error) {
        // The host's own trouble, which passes: no reason to let anything by.
        (CallError::Busy, _) => {
            Reply::new(451, status::NOT_ACCEPTING, "Too busy to decide, try again later")
        }
        (_, OnError::Pass) => return Verdict::NoOpinion,
        (_, OnError::Defer) => {
            Reply::new(451, status::MISCONFIGURED, "Policy error, try again later")
        }
        (_, OnError::Reject) => Reply::new(554, status::MISCONFIGURED, "Policy error"),
    })
}
