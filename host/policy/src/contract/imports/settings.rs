//! `settings`: the plugin's own part of the configuration, and what its `init` keeps of it.

use wasmtime::{Result, bail, format_err};

use super::Answer;
use crate::contract::bindings::facteur::policy::types;
use crate::contract::context::{Context, Initializing};
use crate::contract::exports::HookName;
use crate::contract::text::{LOG_TEXT, line};
use crate::settings::WrongType;

/// The most that `keep` keeps, in bytes.
const KEPT_LIMIT: usize = 64 * 1024;

impl From<WrongType> for types::Error {
    fn from(error: WrongType) -> Self {
        Self::Invalid(line(&error.to_string(), LOG_TEXT))
    }
}

impl Context {
    fn initializing(&mut self, function: &str) -> Result<&mut Initializing> {
        if self.initializing.is_none() {
            return Err(self.misplaced(function, "init"));
        }
        self.initializing.as_mut().ok_or_else(|| format_err!("{function} is for init"))
    }
}

pub(crate) fn get(context: &Context) -> Result<String> {
    Ok(context.plugin.settings.json().to_owned())
}

pub(crate) fn text(context: &Context, name: String) -> Result<Answer<Option<String>>> {
    Ok(context.plugin.settings.text(&name).map_err(Into::into))
}

pub(crate) fn number(context: &Context, name: String) -> Result<Answer<Option<i64>>> {
    Ok(context.plugin.settings.number(&name).map_err(Into::into))
}

pub(crate) fn yes_or_no(context: &Context, name: String) -> Result<Answer<Option<bool>>> {
    Ok(context.plugin.settings.yes_or_no(&name).map_err(Into::into))
}

pub(crate) fn texts(context: &Context, name: String) -> Result<Answer<Option<Vec<String>>>> {
    Ok(context.plugin.settings.texts(&name).map_err(Into::into))
}

pub(crate) fn names(context: &Context, name: String) -> Result<Answer<Option<Vec<String>>>> {
    Ok(context.plugin.settings.names(&name).map_err(Into::into))
}

pub(crate) fn kept(context: &mut Context) -> Result<Vec<u8>> {
    Ok(match &context.initializing {
        Some(initializing) => initializing.kept.clone(),
        None => context.plugin.kept.clone(),
    })
}

pub(crate) fn keep(context: &mut Context, state: Vec<u8>) -> Result<()> {
    let initializing = context.initializing("settings.keep")?;
    if state.len() > KEPT_LIMIT {
        bail!("keep of {} bytes (at most {KEPT_LIMIT})", state.len());
    }
    initializing.kept = state;
    Ok(())
}

pub(crate) fn skip(context: &mut Context, hook: String) -> Result<()> {
    let initializing = context.initializing("settings.skip")?;
    let named = HookName::named(&hook).filter(|hook| initializing.exported.contains(hook));
    let Some(hook) = named else {
        let exported: Vec<_> = initializing.exported.iter().map(|hook| hook.name()).collect();
        bail!(
            "settings.skip of {:?}, which it doesn't export ({})",
            line(&hook, LOG_TEXT),
            exported.join(", ")
        );
    };
    initializing.skipped.push(hook);
    Ok(())
}
