//! Asks one stage of the restriction chain, and settles what was said.
//!
//! Plugins are asked in order until one ends the stage. The two modifiers don't end it: they are
//! gathered here, and settled at the end of RCPT, where a refusal beats `defer-if-permit`, and
//! `defer-if-reject` beats a refusal.

use facteur_smtp::{Address, Reply, status};
use wasmtime::component::{Instance, Resource};

use crate::contract::bindings::facteur::policy::types::{self, Failure};
use crate::contract::bindings::{MessageHandle, RecipientHandle, SessionHandle, TransactionHandle};
use crate::contract::checks::Broken;
use crate::contract::context::{Context, PluginStore};
use crate::contract::exports::{Hooks, Restriction};
use crate::contract::stage::Stage;
use crate::contract::verdict::Verdict;
use crate::dispatch::{Dispatch, Hook};
use crate::plugin::{OnError, Plugin};
use crate::runtime::error::CallError;

/// One stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub stage: Stage,
    /// The recipient of the stage `rcpt`.
    pub about: Option<&'a Address>,
}

impl From<Stage> for Asked<'_> {
    fn from(stage: Stage) -> Self {
        Self { stage, about: None }
    }
}

impl Hook for Asked<'_> {
    type Export = Restriction;
    type Raw = types::Verdict;
    type Answer = Verdict;

    fn name(&self) -> &'static str {
        self.stage.word()
    }

    fn about(&self) -> Option<&Address> {
        self.about
    }

    fn of(hooks: &Hooks) -> Option<&Restriction> {
        hooks.restriction.as_ref()
    }

    async fn call(
        &self,
        hook: &Restriction,
        store: &mut PluginStore,
        instance: &Instance,
    ) -> wasmtime::Result<Result<types::Verdict, Failure>> {
        // Borrows are for one call; the numbers of the session, envelope and message say nothing,
        // since a sandbox has one of each.
        let s = Resource::<SessionHandle>::new_borrow(0);
        let t = Resource::<TransactionHandle>::new_borrow(0);
        let envelope = store.data().context.scope.envelope().is_some();
        let early = envelope.then(|| Resource::<TransactionHandle>::new_borrow(0));
        match self.stage {
            Stage::Connect => hook.connect.call(store, instance, (s, early)).await,
            Stage::Helo => hook.helo.call(store, instance, (s, early)).await,
            Stage::Mail => hook.mail.call(store, instance, (s, t)).await,
            Stage::Rcpt(number) => {
                let to = Resource::<RecipientHandle>::new_borrow(number);
                hook.rcpt.call(store, instance, (s, t, to)).await
            }
            Stage::Data => hook.data.call(store, instance, (s, t)).await,
            Stage::EndOfData => {
                let m = Resource::<MessageHandle>::new_borrow(0);
                hook.end_of_data.call(store, instance, (s, t, m)).await
            }
        }
    }

    fn check(
        &self,
        plugin: &Plugin,
        _: &mut Context,
        raw: types::Verdict,
    ) -> Result<Verdict, Broken> {
        let verdict = Verdict::check(raw)?;
        if verdict == Verdict::AllowRelay {
            if !matches!(self.stage, Stage::Rcpt(_)) {
                return Err(Broken("allow-relay is for the stage rcpt only".to_owned()));
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
            Verdict::Dunno => return false,
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
            Verdict::Drop(reply) => Outcome::Drop(reply),
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
    asked: Asked<'_>,
    who: impl Fn(&Plugin) -> bool,
    mut settled: Settled,
) -> Settled {
    settled.outcome = Outcome::Open;
    for (number, plugin) in dispatch.chain().iter().enumerate() {
        if !plugin.wants(asked.stage.flag()) || !who(plugin) {
            continue;
        }
        let verdict = match dispatch.ask(number, &asked).await {
            Ok(verdict) => verdict.unwrap_or(Verdict::Dunno),
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
        (_, OnError::Pass) => return Verdict::Dunno,
        (_, OnError::Defer) => {
            Reply::new(451, status::MISCONFIGURED, "Policy error, try again later")
        }
        (_, OnError::Reject) => Reply::new(554, status::MISCONFIGURED, "Policy error"),
    })
}
