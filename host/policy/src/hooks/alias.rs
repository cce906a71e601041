//! One step of an expansion: the alias hook, its answer checked.
//!
//! How the steps follow on each other is said in [`super::expansion`].

use std::borrow::Cow;
use std::sync::Arc;

use facteur_smtp::Address;

use crate::contract::bindings::facteur::policy::types;
use crate::contract::checks::{Broken, checked_address};
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::subject::Subject;
use crate::contract::text::{TEXT_LIMIT, line, printable};
use crate::dispatch::Hook;
use crate::domains::Class;
use crate::facts::RecipientFacts;
use crate::plugin::Plugin;
use crate::trace::Told;

/// What one address may become, lists apart: all of it is asked about at each RCPT, in about half
/// a second. (Postfix: virtual_alias_expansion_limit is 1,000, and aliases have no limit.)
pub(crate) const COUNT_LIMIT: usize = 10_000;

/// What one step came to.
pub(crate) enum Answer {
    NoOpinion,
    Exists,
    Targets {
        targets: Vec<types::Target>,
        owner: Option<Address>,
        plugin: usize,
        /// Not a rewriting.
        by_alias: bool,
    },
    Unknown(Option<String>),
}

/// What one address stands for.
pub(crate) struct Asked {
    pub recipient: Arc<RecipientFacts>,
    /// Who is asked.
    pub plugin: usize,
}

impl Hook for Asked {
    type Raw = types::Expansion;
    type Answer = Answer;

    fn name(&self) -> HookName {
        HookName::Alias
    }

    fn subject(&self) -> Subject {
        Subject::Recipient(self.recipient.clone())
    }

    fn check(
        &self,
        _: &Plugin,
        context: &mut Context,
        raw: types::Expansion,
    ) -> Result<Answer, Broken> {
        let (targets, owner, by_alias) = match raw {
            types::Expansion::NoOpinion => return Ok(Answer::NoOpinion),
            types::Expansion::Exists => return Ok(Answer::Exists),
            types::Expansion::Unknown(text) => {
                return Ok(Answer::Unknown(text.map(|text| line(&text, TEXT_LIMIT))));
            }
            types::Expansion::Targets(types::Expanded { targets, owner }) => {
                // Lists are for this machine's own.
                (targets, owner.filter(|_| self.recipient.class == Class::Local), true)
            }
            types::Expansion::Rewritten(addresses) => {
                (addresses.into_iter().map(types::Target::Address).collect(), None, false)
            }
        };
        if targets.is_empty() || targets.len() > COUNT_LIMIT {
            let count = targets.len();
            return Err(Broken(format!("an expansion to {count} targets (1 to {COUNT_LIMIT})")));
        }
        let owner = owner.as_ref().map(checked_address).transpose()?;
        let owner = owner.map(|owner| context.domains.complete(owner));
        Ok(Answer::Targets { targets, owner, plugin: self.plugin, by_alias })
    }
}

impl Told for Answer {
    fn told(&self) -> Cow<'static, str> {
        let target = |target: &types::Target| match target {
            types::Target::Address(raw) if raw.domain.is_empty() => raw.local.clone(),
            types::Target::Address(raw) => format!("{}@{}", raw.local, raw.domain),
            types::Target::Command(argv) => format!("command {}", argv.join(" ")),
            types::Target::File(path) => format!("file {path}"),
            types::Target::ListFile(path) => format!("list {path}"),
        };
        let told = match self {
            Self::NoOpinion => return "no opinion".into(),
            Self::Exists => return "exists".into(),
            Self::Unknown(None) => return "unknown".into(),
            Self::Unknown(Some(text)) => format!("unknown: {text}"),
            Self::Targets { targets, owner, .. } => {
                let list = targets.iter().map(target).collect::<Vec<_>>().join(", ");
                let owner =
                    owner.as_ref().map_or_else(String::new, |owner| format!("; owner {owner}"));
                format!("stands for {list}{owner}")
            }
        };
        printable(&told).into()
    }

    fn refuses(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}
