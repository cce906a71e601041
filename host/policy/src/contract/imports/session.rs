//! `session`: the client's connection.

use std::net::IpAddr;

use ipnet::IpNet;
use wasmtime::Result;

use super::Answer;
use crate::contract::bindings::facteur::policy::types;
use crate::contract::context::Context;
use crate::contract::text::{LOG_TEXT, TEXT_LIMIT, line};
use crate::services::DnsError;
use crate::tags::{TagError, Tags};

/// A DNS failure that may pass.
fn undecided(error: DnsError) -> types::Error {
    types::Error::Unavailable(error.to_string())
}

/// Leaves a note.
pub(super) fn leave(tags: &mut Tags, key: &str, value: &str) -> Answer<()> {
    tags.set(key.to_owned(), value).map_err(|error| match error {
        TagError::Key(_) => types::Error::Invalid(error.to_string()),
        TagError::Count => types::Error::Limit(error.to_string()),
    })
}

/// Whether the address is in one of the networks.
fn is_in(address: IpAddr, networks: &str) -> Answer<bool> {
    let parted = |c: char| c == ',' || c.is_whitespace();
    let mut found = false;
    // All of them are read, so that a wrong one is told whoever the client is.
    for network in networks.split(parted).filter(|text| !text.is_empty()) {
        let parsed =
            network.parse::<IpNet>().or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
        let parsed = parsed.map_err(|_| {
            types::Error::Invalid(format!("no address or network: {}", line(network, LOG_TEXT)))
        })?;
        found |= parsed.contains(&address);
    }
    Ok(found)
}

pub(crate) fn id(context: &Context) -> Result<String> {
    Ok(context.session("session.id")?.id.clone())
}

pub(crate) fn listener(context: &Context) -> Result<String> {
    Ok(context.session("session.listener")?.listener.clone())
}

pub(crate) fn client_address(context: &Context) -> Result<String> {
    Ok(context.session("session.client-address")?.client_ip().to_string())
}

pub(crate) fn client_port(context: &Context) -> Result<u16> {
    Ok(context.session("session.client-port")?.client.port())
}

pub(crate) async fn client_name(context: &Context) -> Result<Answer<Option<String>>> {
    let reverse = context.session("session.client-name")?.reverse(&*context.services.dns).await;
    Ok(reverse.and_then(|reverse| reverse.verified).map_err(undecided))
}

pub(crate) async fn reverse_name(context: &Context) -> Result<Answer<Option<String>>> {
    let reverse = context.session("session.reverse-name")?.reverse(&*context.services.dns).await;
    Ok(reverse.map(|reverse| reverse.name).map_err(undecided))
}

pub(crate) fn client_in(context: &Context, networks: &str) -> Result<Answer<bool>> {
    Ok(is_in(context.session("session.client-in")?.client_ip(), networks))
}

pub(crate) fn trusted(context: &Context) -> Result<bool> {
    Ok(context.session("session.trusted")?.trusted)
}

pub(crate) fn helo(context: &Context) -> Result<Option<String>> {
    Ok(context.session("session.helo")?.helo())
}

pub(crate) fn esmtp(context: &Context) -> Result<bool> {
    Ok(context.session("session.esmtp")?.esmtp())
}

pub(crate) fn login(context: &Context) -> Result<Option<String>> {
    Ok(context.session("session.login")?.login().map(str::to_owned))
}

pub(crate) fn fact(context: &Context, name: &str) -> Result<Option<String>> {
    let session = context.session("session.fact")?.fact(name);
    let envelope = || context.scope.envelope()?.fact(name);
    let recipient = || context.subject.recipient()?.fact(name);
    let found = session.or_else(envelope).or_else(recipient);
    Ok(found.map(|fact| line(&fact, TEXT_LIMIT)))
}

pub(crate) fn tag(context: &Context, key: &str) -> Result<Option<String>> {
    Ok(context.session("session.tag")?.tags.lock().get(key).map(str::to_owned))
}

pub(crate) fn set_tag(context: &Context, key: &str, value: &str) -> Result<Answer<()>> {
    Ok(leave(&mut context.session("session.set-tag")?.tags.lock(), key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_in_networks_and_addresses() {
        let found = |networks| match is_in("192.0.2.7".parse().unwrap(), networks) {
            Ok(found) => found.to_string(),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(found("198.51.100.0/24, 192.0.2.0/29"), "true");
        assert_eq!(found("192.0.2.8 2001:db8::/32,192.0.2.7"), "true");
        assert_eq!(found(" , 192.0.2.8"), "false");
        assert_eq!(found(""), "false");
        let wrong = found("192.0.2.7, 192.0.2");
        assert!(wrong.contains("no address or network: 192.0.2\""), "{wrong}");
    }
}
