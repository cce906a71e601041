//! The host's half of the contract: what a guest's calls do.
//!
//! Every call checks what it is given: a number that stands for nothing, an action outside its
//! place, a text beyond its limit is a trap. No call blocks a thread; those that wait are async,
//! and end with the plugin's own timeout.

mod connect;
mod counters;
mod files;
mod message;
mod scanner;
mod verify;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use facteur_smtp::Address;
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use crate::contract::bindings::facteur::policy::{
    clock, dns, log, lookup, session, settings, transaction, types,
};
use crate::contract::bindings::{RecipientHandle, SessionHandle, TransactionHandle};
use crate::contract::checks::{LOG_TEXT, check_text, checked_address, printable};
use crate::contract::context::Context;
use crate::domains::Class;
use crate::facts::RecipientFacts;
use crate::message::check_header;
use crate::services::{DnsError, TableError};

/// The most that `keep` keeps, in bytes.
const KEPT_LIMIT: usize = 64 * 1024;
/// The most keys of one `find`.
const KEYS_LIMIT: usize = 64;
/// Copies of one message.
const BCC_LIMIT: usize = 16;
/// Headers that plugins may add to one message.
const PREPEND_LIMIT: usize = 32;
/// Recipients that content plugins may add to one message: each is expanded while the client waits.
const ADDED_LIMIT: usize = 100;
/// The longest tarpit for one reply.
const DELAY_LIMIT: Duration = Duration::from_secs(30);

impl Context {
    fn recipient(&self, resource: &Resource<RecipientHandle>) -> Result<Arc<RecipientFacts>> {
        let found = self.envelope()?.recipient(resource.rep());
        found.ok_or_else(|| wasmtime::format_err!("there is no such recipient"))
    }
}

impl From<&Address> for types::Address {
    fn from(address: &Address) -> Self {
        Self { local: address.local().to_owned(), domain: address.domain().to_owned() }
    }
}

impl From<Class> for types::RecipientClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Local => Self::Local,
            Class::VirtualAlias => Self::VirtualAlias,
            Class::VirtualMailbox => Self::VirtualMailbox,
            Class::Relay => Self::Relay,
            Class::Other => Self::Other,
        }
    }
}

impl types::Host for Context {}

impl session::Host for Context {}

impl session::HostSession for Context {
    fn id(&mut self, _: Resource<SessionHandle>) -> Result<String> {
        Ok(self.session()?.id.clone())
    }

    fn listener(&mut self, _: Resource<SessionHandle>) -> Result<String> {
        Ok(self.session()?.listener.clone())
    }

    fn client_address(&mut self, _: Resource<SessionHandle>) -> Result<String> {
        Ok(self.session()?.client_ip().to_string())
    }

    fn client_port(&mut self, _: Resource<SessionHandle>) -> Result<u16> {
        Ok(self.session()?.client.port())
    }

    async fn client_name(
        &mut self,
        _: Resource<SessionHandle>,
    ) -> Result<std::result::Result<Option<String>, session::LookupFailure>> {
        let reverse = self.session()?.reverse(&*self.services.dns).await;
        Ok(reverse.and_then(|reverse| reverse.verified).map_err(lookup_failure))
    }

    async fn reverse_name(
        &mut self,
        _: Resource<SessionHandle>,
    ) -> Result<std::result::Result<Option<String>, session::LookupFailure>> {
        let reverse = self.session()?.reverse(&*self.services.dns).await;
        Ok(reverse.map(|reverse| reverse.name).map_err(lookup_failure))
    }

    fn trusted(&mut self, _: Resource<SessionHandle>) -> Result<bool> {
        Ok(self.session()?.trusted)
    }

    fn helo(&mut self, _: Resource<SessionHandle>) -> Result<Option<String>> {
        Ok(self.session()?.helo())
    }

    fn esmtp(&mut self, _: Resource<SessionHandle>) -> Result<bool> {
        Ok(self.session()?.esmtp())
    }

    fn login(&mut self, _: Resource<SessionHandle>) -> Result<Option<String>> {
        Ok(self.session()?.login().map(str::to_owned))
    }

    fn tag(&mut self, _: Resource<SessionHandle>, key: String) -> Result<Option<String>> {
        Ok(self.session()?.tags.lock().get(&key).map(str::to_owned))
    }

    fn set_tag(&mut self, _: Resource<SessionHandle>, key: String, value: String) -> Result<()> {
        self.session()?.tags.lock().set(key, value).map_err(wasmtime::Error::msg)
    }

    fn drop(&mut self, _: Resource<SessionHandle>) -> Result<()> {
        Ok(())
    }
}

fn lookup_failure(error: DnsError) -> session::LookupFailure {
    session::LookupFailure { reason: error.to_string() }
}

impl transaction::Host for Context {}

impl transaction::HostRecipient for Context {
    fn address(&mut self, this: Resource<RecipientHandle>) -> Result<types::Address> {
        Ok((&self.recipient(&this)?.address).into())
    }

    fn original(&mut self, this: Resource<RecipientHandle>) -> Result<types::Address> {
        Ok((&self.recipient(&this)?.original).into())
    }

    fn address_class(&mut self, this: Resource<RecipientHandle>) -> Result<types::RecipientClass> {
        Ok(self.recipient(&this)?.class.into())
    }

    fn routed(&mut self, this: Resource<RecipientHandle>) -> Result<bool> {
        Ok(self.recipient(&this)?.routed)
    }

    async fn listed(
        &mut self,
        this: Resource<RecipientHandle>,
    ) -> Result<std::result::Result<bool, types::Failure>> {
        let recipient = self.recipient(&this)?;
        let Some(recipients) = self.recipients.upgrade() else {
            bail!("that can't be asked here");
        };
        let listed = recipients.listed(&recipient).await;
        Ok(listed.map_err(|error| types::Failure { transient: true, reason: error.to_string() }))
    }

    fn drop(&mut self, _: Resource<RecipientHandle>) -> Result<()> {
        Ok(())
    }
}

impl transaction::HostTransaction for Context {
    fn sender(&mut self, _: Resource<TransactionHandle>) -> Result<Option<types::Address>> {
        let envelope = self.envelope()?;
        let changing = envelope.changing.lock();
        let sender = changing.sender.as_ref().map_or(&envelope.sender, |(sender, _)| sender);
        Ok(sender.as_ref().map(Into::into))
    }

    fn sender_class(
        &mut self,
        _: Resource<TransactionHandle>,
    ) -> Result<Option<types::RecipientClass>> {
        let envelope = self.envelope()?;
        let class = envelope
            .changing
            .lock()
            .sender
            .as_ref()
            .map_or(envelope.sender_class, |(_, class)| *class);
        Ok(class.map(Into::into))
    }

    fn recipients(
        &mut self,
        _: Resource<TransactionHandle>,
    ) -> Result<Vec<Resource<RecipientHandle>>> {
        let changing = self.envelope()?.changing.lock();
        let numbers = changing.accepted.iter().filter_map(|&number| u32::try_from(number).ok());
        Ok(numbers.map(Resource::new_own).collect())
    }

    fn declared_size(&mut self, _: Resource<TransactionHandle>) -> Result<Option<u64>> {
        Ok(self.envelope()?.declared_size)
    }

    fn utf8(&mut self, _: Resource<TransactionHandle>) -> Result<bool> {
        Ok(self.envelope()?.utf8)
    }

    fn tag(&mut self, _: Resource<TransactionHandle>, key: String) -> Result<Option<String>> {
        Ok(self.envelope()?.changing.lock().tags.get(&key).map(str::to_owned))
    }

    fn set_tag(
        &mut self,
        _: Resource<TransactionHandle>,
        key: String,
        value: String,
    ) -> Result<()> {
        self.acting()?.changing.lock().tags.set(key, value).map_err(wasmtime::Error::msg)
    }

    fn hold(&mut self, _: Resource<TransactionHandle>, reason: String) -> Result<()> {
        check_text(&reason, LOG_TEXT)?;
        self.act(&format!("hold: {reason}"))?.changing.lock().actions.hold.get_or_insert(reason);
        Ok(())
    }

    fn redirect(&mut self, _: Resource<TransactionHandle>, to: types::Address) -> Result<()> {
        let to = checked_address(&to)?;
        let envelope = self.act(&format!("redirect to {to}"))?;
        envelope.changing.lock().actions.redirect = Some(to);
        Ok(())
    }

    fn bcc(&mut self, _: Resource<TransactionHandle>, to: types::Address) -> Result<()> {
        let to = checked_address(&to)?;
        let mut changing = self.act(&format!("copy to {to}"))?.changing.lock();
        if changing.actions.bcc.len() >= BCC_LIMIT {
            bail!("more than {BCC_LIMIT} copies");
        }
        if !changing.actions.bcc.contains(&to) {
            changing.actions.bcc.push(to);
        }
        Ok(())
    }

    fn prepend_header(
        &mut self,
        _: Resource<TransactionHandle>,
        name: String,
        value: String,
    ) -> Result<()> {
        check_header(&name, &value).map_err(wasmtime::Error::msg)?;
        let mut changing = self.act(&format!("prepend {name}: {value}"))?.changing.lock();
        let header = (name, value);
        if changing.actions.headers.contains(&header) {
            return Ok(());
        }
        if changing.actions.headers.len() >= PREPEND_LIMIT {
            bail!("more than {PREPEND_LIMIT} headers");
        }
        changing.actions.headers.push(header);
        Ok(())
    }

    fn delay(&mut self, _: Resource<TransactionHandle>, milliseconds: u32) -> Result<()> {
        let actions =
            &mut self.act(&format!("delay of {milliseconds} ms"))?.changing.lock().actions;
        actions.delay = DELAY_LIMIT.min(actions.delay + Duration::from_millis(milliseconds.into()));
        Ok(())
    }

    fn quarantine(&mut self, _: Resource<TransactionHandle>, reason: String) -> Result<()> {
        check_text(&reason, LOG_TEXT)?;
        self.editing(&format!("quarantine: {reason}"))?
            .changing
            .lock()
            .actions
            .quarantine
            .get_or_insert(reason);
        Ok(())
    }

    fn add_recipient(&mut self, _: Resource<TransactionHandle>, to: types::Address) -> Result<()> {
        let to = self.domains.complete(checked_address(&to)?);
        let effect = format!("add recipient {to}");
        let facts = RecipientFacts::new(&self.domains, to.clone(), to, false);
        if !self.editing(&effect)?.changing.lock().add(facts, ADDED_LIMIT) {
            bail!("more than {ADDED_LIMIT} recipients added");
        }
        Ok(())
    }

    fn remove_recipient(
        &mut self,
        _: Resource<TransactionHandle>,
        to: types::Address,
    ) -> Result<bool> {
        let to = self.domains.complete(checked_address(&to)?);
        Ok(self.editing(&format!("remove recipient {to}"))?.changing.lock().remove(&to))
    }

    fn set_sender(
        &mut self,
        _: Resource<TransactionHandle>,
        sender: Option<types::Address>,
    ) -> Result<()> {
        let sender = sender.as_ref().map(checked_address).transpose()?;
        let sender = sender.map(|sender| self.domains.complete(sender));
        let class = sender.as_ref().map(|sender| self.domains.class_of(sender));
        let effect =
            format!("sender <{}>", sender.as_ref().map(ToString::to_string).unwrap_or_default());
        self.editing(&effect)?.changing.lock().sender = Some((sender, class));
        Ok(())
    }

    fn drop(&mut self, _: Resource<TransactionHandle>) -> Result<()> {
        Ok(())
    }
}

impl log::Host for Context {
    fn write(&mut self, level: log::Level, text: String) -> Result<()> {
        if self.log_lines == 0 {
            return Ok(());
        }
        self.log_lines -= 1;
        let plugin = &*self.plugin.name;
        let text = printable(&text);
        match level {
            log::Level::Debug => tracing::debug!(plugin, "{text}"),
            log::Level::Info => tracing::info!(plugin, "{text}"),
            log::Level::Warn => tracing::warn!(plugin, "{text}"),
            log::Level::Error => tracing::error!(plugin, "{text}"),
        }
        Ok(())
    }
}

impl settings::Host for Context {
    fn get(&mut self) -> Result<String> {
        Ok(self.plugin.settings.clone())
    }

    fn kept(&mut self) -> Result<Vec<u8>> {
        Ok(match &self.initializing {
            Some(kept) => kept.clone(),
            None => self.plugin.kept.clone(),
        })
    }

    fn keep(&mut self, state: Vec<u8>) -> Result<()> {
        let Some(kept) = &mut self.initializing else {
            bail!("keep is for init only");
        };
        if state.len() > KEPT_LIMIT {
            bail!("keep of {} bytes (at most {KEPT_LIMIT})", state.len());
        }
        *kept = state;
        Ok(())
    }
}

impl clock::Host for Context {
    fn now(&mut self) -> Result<u64> {
        Ok(self.services.clock.now())
    }
}

impl lookup::Host for Context {
    async fn find(
        &mut self,
        table: String,
        mut keys: Vec<String>,
    ) -> Result<std::result::Result<Option<lookup::Found>, lookup::Error>> {
        if keys.len() > KEYS_LIMIT {
            bail!("{} keys in one call (at most {KEYS_LIMIT})", keys.len());
        }
        if let Err(line) = self.plugin.grants.lookup(&self.plugin.name, &table) {
            return Ok(Err(lookup::Error::NotGranted(line)));
        }
        for key in &mut keys {
            if key.chars().any(char::is_uppercase) {
                *key = key.to_lowercase();
            }
        }
        Ok(match self.services.tables.find(&table, &keys).await {
            Ok(found) => Ok(found.map(|found| lookup::Found {
                key: u32::try_from(found.key).unwrap_or(u32::MAX),
                value: found.value,
            })),
            Err(TableError::Unknown(name)) => Err(lookup::Error::UnknownTable(name)),
            Err(TableError::Unavailable(why)) => Err(lookup::Error::Unavailable(why)),
        })
    }

    fn user(&mut self, local: String) -> Result<Option<String>> {
        let split = self.domains.delimiter().split(&local);
        Ok(split.map(|(user, _)| user.to_owned()))
    }
}

impl From<DnsError> for dns::Error {
    fn from(error: DnsError) -> Self {
        match error {
            DnsError::NoSuchName => Self::NoSuchName,
            DnsError::NoData => Self::NoData,
            DnsError::InvalidName => Self::InvalidName,
            DnsError::Timeout => Self::Timeout,
            DnsError::ServerFailure => Self::ServerFailure,
        }
    }
}

impl Context {
    fn may_ask_dns(&self) -> std::result::Result<(), dns::Error> {
        self.plugin.grants.dns(&self.plugin.name).map_err(dns::Error::NotGranted)
    }
}

impl dns::Host for Context {
    async fn addresses(
        &mut self,
        name: String,
    ) -> Result<std::result::Result<Vec<String>, dns::Error>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        let found = self.services.dns.addresses(&name).await;
        Ok(found.map(|list| list.iter().map(IpAddr::to_string).collect()).map_err(Into::into))
    }

    async fn mail_exchangers(
        &mut self,
        name: String,
    ) -> Result<std::result::Result<Vec<dns::MailExchanger>, dns::Error>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        let found = self.services.dns.mail_exchangers(&name).await;
        let raw = |mx: crate::services::MailExchanger| dns::MailExchanger {
            preference: mx.preference,
            host: mx.host,
        };
        Ok(found.map(|list| list.into_iter().map(raw).collect()).map_err(Into::into))
    }

    async fn texts(
        &mut self,
        name: String,
    ) -> Result<std::result::Result<Vec<Vec<u8>>, dns::Error>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        Ok(self.services.dns.texts(&name).await.map_err(Into::into))
    }

    async fn name_servers(
        &mut self,
        name: String,
    ) -> Result<std::result::Result<Vec<String>, dns::Error>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        Ok(self.services.dns.name_servers(&name).await.map_err(Into::into))
    }

    async fn names_of(
        &mut self,
        address: String,
    ) -> Result<std::result::Result<Vec<String>, dns::Error>> {
        if let Err(error) = self.may_ask_dns() {
            return Ok(Err(error));
        }
        let Ok(address) = address.parse::<IpAddr>() else {
            return Ok(Err(dns::Error::InvalidName));
        };
        Ok(self.services.dns.names_of(address).await.map_err(Into::into))
    }
}
