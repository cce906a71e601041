//! `settings`: the plugin's own part of the configuration, and what its `init` keeps of it.

use wasmtime::{Result, bail, format_err};

use super::Answer;
use crate::contract::bindings::facteur::policy::{settings, types};
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

impl settings::Host for Context {
    fn get(&mut self) -> Result<String> {
        Ok(self.plugin.settings.json().to_owned())
    }

    fn text(&mut self, name: String) -> Result<Answer<Option<String>>> {
        Ok(self.plugin.settings.text(&name).map_err(Into::into))
    }

    fn number(&mut self, name: String) -> Result<Answer<Option<i64>>> {
        Ok(self.plugin.settings.number(&name).map_err(Into::into))
    }

    fn yes_or_no(&mut self, name: String) -> Result<Answer<Option<bool>>> {
        Ok(self.plugin.settings.yes_or_no(&name).map_err(Into::into))
    }

    fn texts(&mut self, name: String) -> Result<Answer<Option<Vec<String>>>> {
        Ok(self.plugin.settings.texts(&name).map_err(Into::into))
    }

    fn names(&mut self, name: String) -> Result<Answer<Option<Vec<String>>>> {
        Ok(self.plugin.settings.names(&name).map_err(Into::into))
    }

    fn kept(&mut self) -> Result<Vec<u8>> {
        Ok(match &self.initializing {
            Some(initializing) => initializing.kept.clone(),
            None => self.plugin.kept.clone(),
        })
    }

    fn keep(&mut self, state: Vec<u8>) -> Result<()> {
        let initializing = self.initializing("settings.keep")?;
        if state.len() > KEPT_LIMIT {
            bail!("keep of {} bytes (at most {KEPT_LIMIT})", state.len());
        }
        initializing.kept = state;
        Ok(())
    }

    fn skip(&mut self, hook: String) -> Result<()> {
        let initializing = self.initializing("settings.skip")?;
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
}
