//! `session`: the client's connection.

use std::net::IpAddr;

use ipnet::IpNet;
use wasmtime::Result;

use super::Answer;
use crate::contract::bindings::facteur::policy::{session, types};
use crate::contract::context::Context;
use crate::contract::text::{LOG_TEXT, TEXT_LIMIT, line};
use crate::services::DnsError;
use crate::tags::{TagError, Tags};

/// A DNS failure that may pass.
fn undecided(error: DnsError) -> types::Error {
    types::Error::Unavailable(error.to_string())
}

/// Leaves a note.
pub(super) fn set_tag(tags: &mut Tags, key: String, value: &str) -> Answer<()> {
    tags.set(key, value).map_err(|error| match error {
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

impl session::Host for Context {
    fn id(&mut self) -> Result<String> {
        Ok(self.session("session.id")?.id.clone())
    }

    fn listener(&mut self) -> Result<String> {
        Ok(self.session("session.listener")?.listener.clone())
    }

    fn client_address(&mut self) -> Result<String> {
        Ok(self.session("session.client-address")?.client_ip().to_string())
    }

    fn client_port(&mut self) -> Result<u16> {
        Ok(self.session("session.client-port")?.client.port())
    }

    async fn client_name(&mut self) -> Result<Answer<Option<String>>> {
        let reverse = self.session("session.client-name")?.reverse(&*self.services.dns).await;
        Ok(reverse.and_then(|reverse| reverse.verified).map_err(undecided))
    }

    async fn reverse_name(&mut self) -> Result<Answer<Option<String>>> {
        let reverse = self.session("session.reverse-name")?.reverse(&*self.services.dns).await;
        Ok(reverse.map(|reverse| reverse.name).map_err(undecided))
    }

    fn client_in(&mut self, networks: String) -> Result<Answer<bool>> {
        Ok(is_in(self.session("session.client-in")?.client_ip(), &networks))
    }

    fn trusted(&mut self) -> Result<bool> {
        Ok(self.session("session.trusted")?.trusted)
    }

    fn helo(&mut self) -> Result<Option<String>> {
        Ok(self.session("session.helo")?.helo())
    }

    fn esmtp(&mut self) -> Result<bool> {
        Ok(self.session("session.esmtp")?.esmtp())
    }

    fn login(&mut self) -> Result<Option<String>> {
        Ok(self.session("session.login")?.login().map(str::to_owned))
    }

    fn fact(&mut self, name: String) -> Result<Option<String>> {
        let session = self.session("session.fact")?.fact(&name);
        let envelope = || self.scope.envelope()?.fact(&name);
        let recipient = || self.subject.recipient()?.fact(&name);
        let found = session.or_else(envelope).or_else(recipient);
        Ok(found.map(|fact| line(&fact, TEXT_LIMIT)))
    }

    fn tag(&mut self, key: String) -> Result<Option<String>> {
        Ok(self.session("session.tag")?.tags.lock().get(&key).map(str::to_owned))
    }

    fn set_tag(&mut self, key: String, value: String) -> Result<Answer<()>> {
        Ok(set_tag(&mut self.session("session.set-tag")?.tags.lock(), key, &value))
    }
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
