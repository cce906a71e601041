//! `dns`: the DNS, through the operator's resolver.

use std::net::IpAddr;

use wasmtime::Result;

use super::Answer;
use crate::contract::bindings::facteur::policy::{dns, types};
use crate::contract::context::Context;
use crate::services::{DnsError, MailExchanger};

/// A name without records of the type has an empty list.
fn records<T>(answer: std::result::Result<Vec<T>, DnsError>) -> Answer<Vec<T>> {
    answer.or_else(|error| {
        Err(match error {
            DnsError::NoData => return Ok(Vec::new()),
            DnsError::NoSuchName => types::Error::NotFound,
            DnsError::InvalidName => types::Error::Invalid(error.to_string()),
            DnsError::Timeout => types::Error::Timeout,
            DnsError::ServerFailure => types::Error::Unavailable(error.to_string()),
        })
    })
}

impl Context {
    fn may_ask_dns(&self) -> Answer<()> {
        self.plugin.grants.dns(&self.plugin.name).map_err(types::Error::NotGranted)
    }
}

impl dns::Host for Context {
    fn check(&mut self) -> Result<Answer<()>> {
        Ok(self.may_ask_dns())
    }

    async fn addresses(&mut self, name: String) -> Result<Answer<Vec<String>>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        let found = records(self.services.dns.addresses(&name).await);
        Ok(found.map(|list| list.iter().map(IpAddr::to_string).collect()))
    }

    async fn mail_exchangers(&mut self, name: String) -> Result<Answer<Vec<dns::MailExchanger>>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        let found = records(self.services.dns.mail_exchangers(&name).await);
        let raw = |MailExchanger { preference, host }| dns::MailExchanger { preference, host };
        Ok(found.map(|list| list.into_iter().map(raw).collect()))
    }

    async fn texts(&mut self, name: String) -> Result<Answer<Vec<Vec<u8>>>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        Ok(records(self.services.dns.texts(&name).await))
    }

    async fn name_servers(&mut self, name: String) -> Result<Answer<Vec<String>>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        Ok(records(self.services.dns.name_servers(&name).await))
    }

    async fn names_of(&mut self, address: String) -> Result<Answer<Vec<String>>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        let Ok(address) = address.parse::<IpAddr>() else {
            return Ok(Err(types::Error::Invalid("not an IP address".to_owned())));
        };
        Ok(records(self.services.dns.names_of(address).await))
    }
}
