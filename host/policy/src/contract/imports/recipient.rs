//! `recipient`: the address that a question is about.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::types;
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::text::{TEXT_LIMIT, line};
use crate::facts::RecipientFacts;

/// What an alias plugin or a mailbox says of an address.
pub(super) async fn vouched(
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

pub(crate) fn address(context: &Context) -> Result<types::MailAddress> {
    Ok((&context.recipient("recipient.address")?.address).into())
}

pub(crate) fn original(context: &Context) -> Result<types::MailAddress> {
    Ok((&context.recipient("recipient.original")?.original).into())
}

pub(crate) fn address_class(context: &Context) -> Result<types::RecipientClass> {
    Ok(context.recipient("recipient.address-class")?.class.into())
}

pub(crate) fn routed(context: &Context) -> Result<bool> {
    Ok(context.recipient("recipient.routed")?.routed)
}

pub(crate) async fn listed(context: &Context) -> Result<std::result::Result<bool, types::Failure>> {
    let recipient = context.recipient("recipient.listed")?.clone();
    vouched(context, "recipient.listed", &recipient).await
}
