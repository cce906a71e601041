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

pub(crate) fn check(context: &Context) -> Result<Answer<()>> {
    Ok(context.may_ask_dns())
}

pub(crate) async fn addresses(context: &Context, name: &str) -> Result<Answer<Vec<String>>> {
    if let Err(error) = context.may_ask_dns() {
        return Ok(Err(error));
    }
    let found = records(context.services.dns.addresses(name).await);
    // A server turns them at each answer, and their order means nothing.
    Ok(found.map(|mut list| {
        list.sort_unstable();
        list.iter().map(IpAddr::to_string).collect()
    }))
}

pub(crate) async fn mail_exchangers(
    context: &Context,
    name: &str,
) -> Result<Answer<Vec<dns::MailExchanger>>> {
    if let Err(error) = context.may_ask_dns() {
        return Ok(Err(error));
    }
    let found = records(context.services.dns.mail_exchangers(name).await);
    let raw = |MailExchanger { preference, host }| dns::MailExchanger { preference, host };
    Ok(found.map(|list| list.into_iter().map(raw).collect()))
}

pub(crate) async fn texts(context: &Context, name: &str) -> Result<Answer<Vec<Vec<u8>>>> {
    if let Err(error) = context.may_ask_dns() {
        return Ok(Err(error));
    }
    Ok(records(context.services.dns.texts(name).await))
}

pub(crate) async fn name_servers(context: &Context, name: &str) -> Result<Answer<Vec<String>>> {
    if let Err(error) = context.may_ask_dns() {
        return Ok(Err(error));
    }
    Ok(records(context.services.dns.name_servers(name).await))
}

pub(crate) async fn names_of(context: &Context, address: &str) -> Result<Answer<Vec<String>>> {
    if let Err(error) = context.may_ask_dns() {
        return Ok(Err(error));
    }
    let Ok(address) = address.parse::<IpAddr>() else {
        return Ok(Err(types::Error::Invalid("not an IP address".to_owned())));
    };
    Ok(records(context.services.dns.names_of(address).await))
}
