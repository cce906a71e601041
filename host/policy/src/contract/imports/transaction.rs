//! `transaction`: the envelope, and what a plugin does with it.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Error, Result};

use super::Answer;
use super::recipient::listed;
use super::session::set_tag;
use crate::contract::bindings::facteur::policy::{transaction, types};
use crate::contract::checks::address_or_error;
use crate::contract::context::Context;
use crate::contract::text::{LOG_TEXT, line};
use crate::facts::RecipientFacts;
use crate::message::{check_name, fit};

/// Copies of one message.
const BCC_LIMIT: usize = 16;
/// Headers that plugins may add to one message.
const PREPEND_LIMIT: usize = 32;
/// The longest tarpit for one reply.
const DELAY_LIMIT: Duration = Duration::from_secs(30);

impl Context {
    /// An accepted recipient, by its number.
    pub(super) fn accepted(
        &self,
        function: &str,
        number: u32,
    ) -> Result<Option<Arc<RecipientFacts>>> {
        let changing = self.envelope(function)?.changing.lock();
        Ok(changing.accepted.get(number as usize).map(|one| one.facts.clone()))
    }
}

impl transaction::Host for Context {
    fn exists(&mut self) -> Result<bool> {
        Ok(self.envelope_if_any("transaction.exists")?.is_some())
    }

    fn sender(&mut self) -> Result<Option<types::MailAddress>> {
        let envelope = self.envelope("transaction.sender")?;
        Ok(envelope.sender_now().as_ref().map(Into::into))
    }

    fn sender_class(&mut self) -> Result<Option<types::RecipientClass>> {
        let envelope = self.envelope("transaction.sender-class")?;
        Ok(envelope.sender_class_now().map(Into::into))
    }

    async fn sender_listed(&mut self) -> Result<std::result::Result<bool, types::Failure>> {
        const FUNCTION: &str = "transaction.sender-listed";
        let Some(sender) = self.acting(FUNCTION)?.sender_now() else { return Ok(Ok(true)) };
        let sender = RecipientFacts::new(&self.domains, sender.clone(), sender, false);
        listed(self, FUNCTION, &sender).await
    }

    fn declared_size(&mut self) -> Result<Option<u64>> {
        Ok(self.envelope("transaction.declared-size")?.parameters.size)
    }

    fn utf8(&mut self) -> Result<bool> {
        Ok(self.envelope("transaction.utf8")?.parameters.smtputf8)
    }

    fn recipient_count(&mut self) -> Result<u32> {
        let count = self.envelope("transaction.recipient-count")?.changing.lock().accepted.len();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn recipients(&mut self) -> Result<Vec<types::MailAddress>> {
        let changing = self.envelope("transaction.recipients")?.changing.lock();
        Ok(changing.accepted.iter().map(|one| (&one.facts.address).into()).collect())
    }

    fn class_of(&mut self, recipient: u32) -> Result<Option<types::RecipientClass>> {
        let found = self.accepted("transaction.class-of", recipient)?;
        Ok(found.map(|facts| facts.class.into()))
    }

    fn routed(&mut self, recipient: u32) -> Result<Option<bool>> {
        Ok(self.accepted("transaction.routed", recipient)?.map(|facts| facts.routed))
    }

    async fn listed(
        &mut self,
        recipient: u32,
    ) -> Result<std::result::Result<Option<bool>, types::Failure>> {
        match self.accepted("transaction.listed", recipient)? {
            Some(facts) => Ok(listed(self, "transaction.listed", &facts).await?.map(Some)),
            None => Ok(Ok(None)),
        }
    }

    fn tag(&mut self, key: String) -> Result<Option<String>> {
        let changing = self.envelope("transaction.tag")?.changing.lock();
        Ok(changing.tags.get(&key).map(str::to_owned))
    }

    fn set_tag(&mut self, key: String, value: String) -> Result<Answer<()>> {
        let mut changing = self.acting("transaction.set-tag")?.changing.lock();
        Ok(set_tag(&mut changing.tags, key, &value))
    }

    fn hold(&mut self, reason: String) -> Result<()> {
        let reason = line(&reason, LOG_TEXT);
        let envelope = self.act("transaction.hold", &format!("hold: {reason}"))?;
        envelope.changing.lock().actions.hold.get_or_insert(reason);
        Ok(())
    }

    fn redirect(&mut self, to: types::MailAddress) -> Result<Answer<()>> {
        self.acting("transaction.redirect")?;
        let to = match address_or_error(&to) {
            Ok(to) => to,
            Err(error) => return Ok(Err(error)),
        };
        let envelope = self.act("transaction.redirect", &format!("redirect to {to}"))?;
        envelope.changing.lock().actions.redirect = Some(to);
        Ok(Ok(()))
    }

    fn bcc(&mut self, to: types::MailAddress) -> Result<Answer<()>> {
        self.acting("transaction.bcc")?;
        let to = match address_or_error(&to) {
            Ok(to) => to,
            Err(error) => return Ok(Err(error)),
        };
        let mut changing = self.act("transaction.bcc", &format!("copy to {to}"))?.changing.lock();
        if changing.actions.bcc.contains(&to) {
            return Ok(Ok(()));
        }
        if changing.actions.bcc.len() >= BCC_LIMIT {
            return Ok(Err(types::Error::Limit(format!("{BCC_LIMIT} copies"))));
        }
        changing.actions.bcc.push(to);
        Ok(Ok(()))
    }

    fn prepend_header(&mut self, name: String, value: String) -> Result<Answer<()>> {
        const FUNCTION: &str = "transaction.prepend-header";
        let utf8 = self.acting(FUNCTION)?.parameters.smtputf8;
        check_name(&name).map_err(Error::msg)?;
        let effect = format!("prepend {name}: {value}");
        let header = (name, fit(&value, utf8));
        let mut changing = self.act(FUNCTION, &effect)?.changing.lock();
        if changing.actions.headers.contains(&header) {
            return Ok(Ok(()));
        }
        if changing.actions.headers.len() >= PREPEND_LIMIT {
            return Ok(Err(types::Error::Limit(format!("{PREPEND_LIMIT} headers"))));
        }
        changing.actions.headers.push(header);
        Ok(Ok(()))
    }

    fn delay(&mut self, time: u64) -> Result<()> {
        let envelope = self.act("transaction.delay", &format!("delay of {time} ms"))?;
        let delay = &mut envelope.changing.lock().actions.delay;
        *delay = DELAY_LIMIT.min(delay.saturating_add(Duration::from_millis(time)));
        Ok(())
    }
}
