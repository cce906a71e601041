//! `scanner`: a message handed to a virus scanner by the host.

use wasmtime::Result;
use wasmtime::component::Resource;

use crate::contract::bindings::MessageHandle;
use crate::contract::bindings::facteur::policy::scanner;
use crate::contract::context::Context;
use crate::services::{ScanError, Scanned};

impl Context {
    fn may_scan(&self, name: &str) -> std::result::Result<(), scanner::Error> {
        self.plugin.grants.scanner(&self.plugin.name, name).map_err(scanner::Error::NotGranted)?;
        if self.services.scanners.is_scanner(name) {
            Ok(())
        } else {
            Err(scanner::Error::UnknownScanner(name.to_owned()))
        }
    }
}

impl scanner::Host for Context {
    fn check(&mut self, name: String) -> Result<std::result::Result<(), scanner::Error>> {
        Ok(self.may_scan(&name))
    }

    async fn scan(
        &mut self,
        name: String,
        _: Resource<MessageHandle>,
    ) -> Result<std::result::Result<scanner::Outcome, scanner::Error>> {
        if let Err(error) = self.may_scan(&name) {
            return Ok(Err(error));
        }
        let content = self.message()?.content.clone();
        Ok(match self.services.scanners.scan(&name, content).await {
            Ok(Scanned::Clean) => Ok(scanner::Outcome::Clean),
            Ok(Scanned::Infected(signature)) => Ok(scanner::Outcome::Infected(signature)),
            Err(ScanError::Unknown(name)) => Err(scanner::Error::UnknownScanner(name)),
            Err(ScanError::Unavailable(why)) => Err(scanner::Error::Unavailable(why)),
            Err(ScanError::TooLarge) => Err(scanner::Error::TooLarge),
        })
    }
}
