//! `recipient`: the address that a question is about.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::{recipient, types};
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::text::{TEXT_LIMIT, line};
use crate::facts::RecipientFacts;

/// What an alias plugin or a mailbox says of an address.
pub(super) async fn listed(
    context: &Context,
    function: &str,
    recipient: &RecipientFacts,
) -> Result<std::result::Result<bool, types::Failure>> {
    let recipients = context.recipients.upgrade();
    let Some(recipients) = recipients.filter(|_| context.hook != Some(HookName::Alias)) else {
        return Err(context.misplaced(function, "hooks with recipients, but not on-alias"));
    };
    let listed = recipients.listed(recipient).await;
    Ok(listed.map_err(|error| types::Failure {
        transient: true,
        reason: line(&error.to_string(), TEXT_LIMIT),
    }))
}

impl recipient::Host for Context {
    fn address(&mut self) -> Result<types::MailAddress> {
        Ok((&self.recipient("recipient.address")?.address).into())
    }

    fn original(&mut self) -> Result<types::MailAddress> {
        Ok((&self.recipient("recipient.original")?.original).into())
    }

    fn address_class(&mut self) -> Result<types::RecipientClass> {
        Ok(self.recipient("recipient.address-class")?.class.into())
    }

    fn routed(&mut self) -> Result<bool> {
        Ok(self.recipient("recipient.routed")?.routed)
    }

    async fn listed(&mut self) -> Result<std::result::Result<bool, types::Failure>> {
        let recipient = self.recipient("recipient.listed")?.clone();
        listed(self, "recipient.listed", &recipient).await
    }
}
