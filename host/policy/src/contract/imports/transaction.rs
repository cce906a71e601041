//! `transaction`: the envelope, and what a plugin does with it.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Error, Result};

use super::Answer;
use super::recipient::vouched;
use super::session::leave;
use crate::contract::bindings::facteur::policy::types;
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

pub(crate) fn exists(context: &Context) -> Result<bool> {
    Ok(context.envelope_if_any("transaction.exists")?.is_some())
}

pub(crate) fn sender(context: &Context) -> Result<Option<types::MailAddress>> {
    let envelope = context.envelope("transaction.sender")?;
    Ok(envelope.sender_now().as_ref().map(Into::into))
}

pub(crate) fn sender_class(context: &Context) -> Result<Option<types::RecipientClass>> {
    let envelope = context.envelope("transaction.sender-class")?;
    Ok(envelope.sender_class_now().map(Into::into))
}

pub(crate) async fn sender_listed(
    context: &Context,
) -> Result<std::result::Result<bool, types::Failure>> {
    const FUNCTION: &str = "transaction.sender-listed";
    let Some(sender) = context.acting(FUNCTION)?.sender_now() else { return Ok(Ok(true)) };
    let sender = RecipientFacts::new(&context.domains, sender.clone(), sender, false);
    vouched(context, FUNCTION, &sender).await
}

pub(crate) fn declared_size(context: &Context) -> Result<Option<u64>> {
    Ok(context.envelope("transaction.declared-size")?.parameters.size)
}

pub(crate) fn utf8(context: &Context) -> Result<bool> {
    Ok(context.envelope("transaction.utf8")?.parameters.smtputf8)
}

pub(crate) fn recipient_count(context: &Context) -> Result<u32> {
    let count = context.envelope("transaction.recipient-count")?.changing.lock().accepted.len();
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) fn recipients(context: &Context) -> Result<Vec<types::MailAddress>> {
    let changing = context.envelope("transaction.recipients")?.changing.lock();
    Ok(changing.accepted.iter().map(|one| (&one.facts.address).into()).collect())
}

pub(crate) fn class_of(context: &Context, recipient: u32) -> Result<Option<types::RecipientClass>> {
    let found = context.accepted("transaction.class-of", recipient)?;
    Ok(found.map(|facts| facts.class.into()))
}

pub(crate) fn routed(context: &Context, recipient: u32) -> Result<Option<bool>> {
    Ok(context.accepted("transaction.routed", recipient)?.map(|facts| facts.routed))
}

pub(crate) async fn listed(
    context: &Context,
    recipient: u32,
) -> Result<std::result::Result<Option<bool>, types::Failure>> {
    match context.accepted("transaction.listed", recipient)? {
        Some(facts) => Ok(vouched(context, "transaction.listed", &facts).await?.map(Some)),
        None => Ok(Ok(None)),
    }
}

pub(crate) fn tag(context: &Context, key: &str) -> Result<Option<String>> {
    let changing = context.envelope("transaction.tag")?.changing.lock();
    Ok(changing.tags.get(key).map(str::to_owned))
}

pub(crate) fn set_tag(context: &Context, key: &str, value: &str) -> Result<Answer<()>> {
    let mut changing = context.acting("transaction.set-tag")?.changing.lock();
    Ok(leave(&mut changing.tags, key, value))
}

pub(crate) fn hold(context: &mut Context, reason: &str) -> Result<()> {
    let reason = line(reason, LOG_TEXT);
    let envelope = context.act("transaction.hold", &format!("hold: {reason}"))?;
    envelope.changing.lock().actions.hold.get_or_insert(reason);
    Ok(())
}

pub(crate) fn redirect(context: &mut Context, to: &types::MailAddress) -> Result<Answer<()>> {
    context.acting("transaction.redirect")?;
    let to = match address_or_error(to) {
        Ok(to) => to,
        Err(error) => return Ok(Err(error)),
    };
    let envelope = context.act("transaction.redirect", &format!("redirect to {to}"))?;
    envelope.changing.lock().actions.redirect = Some(to);
    Ok(Ok(()))
}

pub(crate) fn bcc(context: &mut Context, to: &types::MailAddress) -> Result<Answer<()>> {
    context.acting("transaction.bcc")?;
    let to = match address_or_error(to) {
        Ok(to) => to,
        Err(error) => return Ok(Err(error)),
    };
    let mut changing = context.act("transaction.bcc", &format!("copy to {to}"))?.changing.lock();
    if changing.actions.bcc.contains(&to) {
        return Ok(Ok(()));
    }
    if changing.actions.bcc.len() >= BCC_LIMIT {
        return Ok(Err(types::Error::Limit(format!("{BCC_LIMIT} copies"))));
    }
    changing.actions.bcc.push(to);
    Ok(Ok(()))
}

pub(crate) fn prepend_header(context: &mut Context, name: &str, value: &str) -> Result<Answer<()>> {
    const FUNCTION: &str = "transaction.prepend-header";
    let utf8 = context.acting(FUNCTION)?.parameters.smtputf8;
    check_name(name).map_err(Error::msg)?;
    let effect = format!("prepend {name}: {value}");
    let header = (name.to_owned(), fit(value, utf8));
    let mut changing = context.act(FUNCTION, &effect)?.changing.lock();
    if changing.actions.headers.contains(&header) {
        return Ok(Ok(()));
    }
    if changing.actions.headers.len() >= PREPEND_LIMIT {
        return Ok(Err(types::Error::Limit(format!("{PREPEND_LIMIT} headers"))));
    }
    changing.actions.headers.push(header);
    Ok(Ok(()))
}

pub(crate) fn delay(context: &mut Context, time: u64) -> Result<()> {
    let envelope = context.act("transaction.delay", &format!("delay of {time} ms"))?;
    let delay = &mut envelope.changing.lock().actions.delay;
    *delay = DELAY_LIMIT.min(delay.saturating_add(Duration::from_millis(time)));
    Ok(())
}
