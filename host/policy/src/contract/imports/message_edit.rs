//! `message-edit`: what a content plugin changes, in the message and in the envelope.

use wasmtime::{Error, Result, bail};

use super::Answer;
use crate::contract::bindings::facteur::policy::types;
use crate::contract::checks::address_or_error;
use crate::contract::context::Context;
use crate::contract::text::{LOG_TEXT, line};
use crate::facts::RecipientFacts;
use crate::message::{BodyError, EditError, check_name, fit};

/// The most bytes of one chunk of a new body.
const CHUNK_LIMIT: usize = 64 * 1024;
/// Recipients that content plugins may add to one message: each is expanded while the client waits.
const ADDED_LIMIT: usize = 100;

/// What breaks the contract is a trap, and what doesn't fit is said.
fn told<T>(edited: std::result::Result<T, EditError>) -> Result<Answer<T>> {
    match edited {
        Ok(done) => Ok(Ok(done)),
        Err(EditError::Broken(why)) => Err(Error::msg(why)),
        Err(EditError::Limit(most)) => Ok(Err(types::Error::Limit(most))),
        Err(EditError::Body(BodyError::TooLarge)) => Ok(Err(types::Error::TooLarge)),
        Err(EditError::Body(BodyError::Unavailable(error))) => Ok(Err(error.into())),
    }
}

impl Context {
    /// A value fit for the message that is edited.
    fn header(&self, function: &str, name: &str, value: &str) -> Result<String> {
        let utf8 = self.envelope(function)?.parameters.smtputf8;
        check_name(name).map_err(Error::msg)?;
        Ok(fit(value, utf8))
    }
}

pub(crate) fn add_header(context: &mut Context, name: &str, value: &str) -> Result<Answer<()>> {
    const FUNCTION: &str = "message-edit.add-header";
    context.editing(FUNCTION)?;
    let value = context.header(FUNCTION, name, value)?;
    let (draft, _) = context.editing(FUNCTION)?;
    told(draft.add(name, &value))
}

pub(crate) fn insert_header(
    context: &mut Context,
    index: u32,
    name: &str,
    value: &str,
) -> Result<Answer<()>> {
    const FUNCTION: &str = "message-edit.insert-header";
    context.editing(FUNCTION)?;
    let value = context.header(FUNCTION, name, value)?;
    let (draft, message) = context.editing(FUNCTION)?;
    told(draft.insert(message.index()?, index, name, &value))
}

pub(crate) fn replace_header(
    context: &mut Context,
    name: String,
    occurrence: u32,
    value: String,
) -> Result<Answer<bool>> {
    const FUNCTION: &str = "message-edit.replace-header";
    context.editing(FUNCTION)?;
    let value = context.header(FUNCTION, &name, &value)?;
    let (draft, message) = context.editing(FUNCTION)?;
    told(draft.replace(message.index()?, &name, occurrence, &value))
}

pub(crate) fn remove_header(
    context: &mut Context,
    name: String,
    occurrence: Option<u32>,
) -> Result<Answer<u32>> {
    let (draft, message) = context.editing("message-edit.remove-header")?;
    told(draft.remove(message.index()?, &name, occurrence))
}

pub(crate) async fn replace_body(
    context: &mut Context,
    chunk: Vec<u8>,
    last: bool,
) -> Result<Answer<()>> {
    let (draft, message) = context.editing("message-edit.replace-body")?;
    if chunk.len() > CHUNK_LIMIT {
        bail!("a chunk of {} bytes (at most {CHUNK_LIMIT})", chunk.len());
    }
    let bodies = message.bodies();
    told(draft.replace_body(&*bodies, &chunk, last).await)
}

pub(crate) fn quarantine(context: &mut Context, reason: &str) -> Result<()> {
    const FUNCTION: &str = "message-edit.quarantine";
    context.editing(FUNCTION)?;
    let reason = line(reason, LOG_TEXT);
    let envelope = context.act(FUNCTION, &format!("quarantine: {reason}"))?;
    envelope.changing.lock().actions.quarantine.get_or_insert(reason);
    Ok(())
}

pub(crate) fn add_recipient(context: &mut Context, to: &types::MailAddress) -> Result<Answer<()>> {
    const FUNCTION: &str = "message-edit.add-recipient";
    context.editing(FUNCTION)?;
    let to = match address_or_error(to) {
        Ok(to) => context.domains.complete(to),
        Err(error) => return Ok(Err(error)),
    };
    let effect = format!("add recipient {to}");
    let facts = RecipientFacts::new(&context.domains, to.clone(), to, false);
    let added = context.act(FUNCTION, &effect)?.changing.lock().add(facts, ADDED_LIMIT);
    let limit = || types::Error::Limit(format!("{ADDED_LIMIT} recipients added"));
    Ok(if added { Ok(()) } else { Err(limit()) })
}

pub(crate) fn remove_recipient(
    context: &mut Context,
    to: &types::MailAddress,
) -> Result<Answer<bool>> {
    const FUNCTION: &str = "message-edit.remove-recipient";
    context.editing(FUNCTION)?;
    let to = match address_or_error(to) {
        Ok(to) => context.domains.complete(to),
        Err(error) => return Ok(Err(error)),
    };
    let envelope = context.act(FUNCTION, &format!("remove recipient {to}"))?;
    Ok(Ok(envelope.changing.lock().remove(&to)))
}

pub(crate) fn set_sender(
    context: &mut Context,
    sender: Option<&types::MailAddress>,
) -> Result<Answer<()>> {
    const FUNCTION: &str = "message-edit.set-sender";
    context.editing(FUNCTION)?;
    let sender = match sender.map(address_or_error).transpose() {
        Ok(sender) => sender.map(|sender| context.domains.complete(sender)),
        Err(error) => return Ok(Err(error)),
    };
    let class = sender.as_ref().map(|sender| context.domains.class_of(sender));
    let told = sender.as_ref().map(ToString::to_string).unwrap_or_default();
    let envelope = context.act(FUNCTION, &format!("sender <{told}>"))?;
    envelope.changing.lock().sender = Some((sender, class));
    Ok(Ok(()))
}
