//! `message-edit`: what a content plugin changes, in the message and in the envelope.

use wasmtime::{Error, Result, bail};

use super::Answer;
use crate::contract::bindings::facteur::policy::{message_edit, types};
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

impl message_edit::Host for Context {
    fn add_header(&mut self, name: String, value: String) -> Result<Answer<()>> {
        const FUNCTION: &str = "message-edit.add-header";
        self.editing(FUNCTION)?;
        let value = self.header(FUNCTION, &name, &value)?;
        let (draft, _) = self.editing(FUNCTION)?;
        told(draft.add(&name, &value))
    }

    fn insert_header(&mut self, index: u32, name: String, value: String) -> Result<Answer<()>> {
        const FUNCTION: &str = "message-edit.insert-header";
        self.editing(FUNCTION)?;
        let value = self.header(FUNCTION, &name, &value)?;
        let (draft, message) = self.editing(FUNCTION)?;
        told(draft.insert(message.index()?, index, &name, &value))
    }

    fn replace_header(
        &mut self,
        name: String,
        occurrence: u32,
        value: String,
    ) -> Result<Answer<bool>> {
        const FUNCTION: &str = "message-edit.replace-header";
        self.editing(FUNCTION)?;
        let value = self.header(FUNCTION, &name, &value)?;
        let (draft, message) = self.editing(FUNCTION)?;
        told(draft.replace(message.index()?, &name, occurrence, &value))
    }

    fn remove_header(&mut self, name: String, occurrence: Option<u32>) -> Result<Answer<u32>> {
        let (draft, message) = self.editing("message-edit.remove-header")?;
        told(draft.remove(message.index()?, &name, occurrence))
    }

    async fn replace_body(&mut self, chunk: Vec<u8>, last: bool) -> Result<Answer<()>> {
        let (draft, message) = self.editing("message-edit.replace-body")?;
        if chunk.len() > CHUNK_LIMIT {
            bail!("a chunk of {} bytes (at most {CHUNK_LIMIT})", chunk.len());
        }
        let bodies = message.bodies();
        told(draft.replace_body(&*bodies, &chunk, last).await)
    }

    fn quarantine(&mut self, reason: String) -> Result<()> {
        const FUNCTION: &str = "message-edit.quarantine";
        self.editing(FUNCTION)?;
        let reason = line(&reason, LOG_TEXT);
        let envelope = self.act(FUNCTION, &format!("quarantine: {reason}"))?;
        envelope.changing.lock().actions.quarantine.get_or_insert(reason);
        Ok(())
    }

    fn add_recipient(&mut self, to: types::MailAddress) -> Result<Answer<()>> {
        const FUNCTION: &str = "message-edit.add-recipient";
        self.editing(FUNCTION)?;
        let to = match address_or_error(&to) {
            Ok(to) => self.domains.complete(to),
            Err(error) => return Ok(Err(error)),
        };
        let effect = format!("add recipient {to}");
        let facts = RecipientFacts::new(&self.domains, to.clone(), to, false);
        let added = self.act(FUNCTION, &effect)?.changing.lock().add(facts, ADDED_LIMIT);
        let limit = || types::Error::Limit(format!("{ADDED_LIMIT} recipients added"));
        Ok(if added { Ok(()) } else { Err(limit()) })
    }

    fn remove_recipient(&mut self, to: types::MailAddress) -> Result<Answer<bool>> {
        const FUNCTION: &str = "message-edit.remove-recipient";
        self.editing(FUNCTION)?;
        let to = match address_or_error(&to) {
            Ok(to) => self.domains.complete(to),
            Err(error) => return Ok(Err(error)),
        };
        let envelope = self.act(FUNCTION, &format!("remove recipient {to}"))?;
        Ok(Ok(envelope.changing.lock().remove(&to)))
    }

    fn set_sender(&mut self, sender: Option<types::MailAddress>) -> Result<Answer<()>> {
        const FUNCTION: &str = "message-edit.set-sender";
        self.editing(FUNCTION)?;
        let sender = match sender.as_ref().map(address_or_error).transpose() {
            Ok(sender) => sender.map(|sender| self.domains.complete(sender)),
            Err(error) => return Ok(Err(error)),
        };
        let class = sender.as_ref().map(|sender| self.domains.class_of(sender));
        let told = sender.as_ref().map(ToString::to_string).unwrap_or_default();
        let envelope = self.act(FUNCTION, &format!("sender <{told}>"))?;
        envelope.changing.lock().sender = Some((sender, class));
        Ok(Ok(()))
    }
}
