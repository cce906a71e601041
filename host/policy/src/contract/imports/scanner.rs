//! `scanner`: a message handed to a virus scanner by the host.

use wasmtime::Result;

use super::{Answer, unknown};
use crate::contract::bindings::facteur::policy::{scanner, types};
use crate::contract::context::Context;
use crate::services::{ScanError, Scanned};

impl From<ScanError> for types::Error {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Unknown(name) => unknown("scanners", &name),
            ScanError::Unavailable(why) => Self::Unavailable(why),
            ScanError::TooLarge => Self::TooLarge,
        }
    }
}

impl Context {
    fn may_scan(&self, name: &str) -> Answer<()> {
        let granted = self.plugin.grants.scanner(&self.plugin.name, name);
        granted.map_err(types::Error::NotGranted)?;
        let is_there = self.services.scanners.is_scanner(name);
        if is_there { Ok(()) } else { Err(unknown("scanners", name)) }
    }
}

pub(crate) fn check(context: &Context, name: String) -> Result<Answer<()>> {
    Ok(context.may_scan(&name))
}

pub(crate) async fn scan(context: &Context, name: String) -> Result<Answer<scanner::Outcome>> {
    let content = context.message("scanner.scan")?.content.clone();
    if let Err(error) = context.may_scan(&name) {
        return Ok(Err(error));
    }
    Ok(match context.services.scanners.scan(&name, content).await {
        Ok(Scanned::Clean) => Ok(scanner::Outcome::Clean),
        Ok(Scanned::Infected(signature)) => Ok(scanner::Outcome::Infected(signature)),
        Err(error) => Err(error.into()),
    })
}
