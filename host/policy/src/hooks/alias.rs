//! One step of an expansion: the alias hook, its answer checked.
//!
//! How the steps follow on each other is said in [`super::expansion`].

use std::borrow::Cow;

use facteur_smtp::Address;
use wasmtime::component::{Instance, Resource};

use crate::contract::bindings::RecipientHandle;
use crate::contract::bindings::alias::exports::facteur::policy::alias;
use crate::contract::bindings::facteur::policy::types::{self, Failure};
use crate::contract::checks::{Broken, TEXT_LIMIT, check_text, checked_address, printable};
use crate::contract::context::{Context, PluginStore};
use crate::contract::exports::{Alias, Hooks};
use crate::dispatch::Hook;
use crate::domains::Class;
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
        targets: Vec<alias::Target>,
        owner: Option<Address>,
        plugin: usize,
        /// Not a rewriting.
        by_alias: bool,
    },
    Unknown(Option<String>),
}

/// What one address stands for.
pub(crate) struct Asked<'a> {
    /// The recipient's number in the envelope.
    pub number: u32,
    pub address: &'a Address,
    pub class: Class,
    /// Who is asked.
    pub plugin: usize,
}

impl Hook for Asked<'_> {
    type Export = Alias;
    /// With the owner of what it stands for.
    type Raw = (alias::Expansion, Option<types::Address>);
    type Answer = Answer;

    fn name(&self) -> &'static str {
        "alias"
    }

    fn about(&self) -> Option<&Address> {
        Some(self.address)
    }

    fn of(hooks: &Hooks) -> Option<&Alias> {
        hooks.alias.as_ref()
    }

    async fn call(
        &self,
        hook: &Alias,
        store: &mut PluginStore,
        instance: &Instance,
    ) -> wasmtime::Result<Result<Self::Raw, Failure>> {
        let to = Resource::<RecipientHandle>::new_borrow(self.number);
        let expansion = match hook.expand.call(store, instance, (to,)).await? {
            Ok(expansion) => expansion,
            Err(failure) => return Ok(Err(failure)),
        };
        if !matches!(expansion, alias::Expansion::Targets(_)) || self.class != Class::Local {
            return Ok(Ok((expansion, None)));
        }
        let owner = hook.owner.call(store, instance, (self.address.into(),)).await?;
        Ok(owner.map(|owner| (expansion, owner)))
    }

    fn check(
        &self,
        _: &Plugin,
        context: &mut Context,
        (expansion, owner): Self::Raw,
    ) -> Result<Answer, Broken> {
        let (targets, by_alias) = match expansion {
            alias::Expansion::NoOpinion => return Ok(Answer::NoOpinion),
            alias::Expansion::Exists => return Ok(Answer::Exists),
            alias::Expansion::Unknown(text) => {
                text.as_deref().map_or(Ok(()), |text| check_text(text, TEXT_LIMIT))?;
                return Ok(Answer::Unknown(text));
            }
            alias::Expansion::Targets(targets) => (targets, true),
            alias::Expansion::Rewritten(addresses) => {
                (addresses.into_iter().map(alias::Target::Address).collect(), false)
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
        let target = |target: &alias::Target| match target {
            alias::Target::Address(raw) if raw.domain.is_empty() => raw.local.clone(),
            alias::Target::Address(raw) => format!("{}@{}", raw.local, raw.domain),
            alias::Target::Command(argv) => format!("command {}", argv.join(" ")),
            alias::Target::File(path) => format!("file {path}"),
            alias::Target::Include(path) => format!("list {path}"),
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
}
