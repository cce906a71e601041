//! `verify`: whether mail for an address would be taken, here or where it goes.

use wasmtime::Result;

use super::Answer;
use crate::contract::bindings::facteur::policy::{types, verify};
use crate::contract::checks::address_or_error;
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::text::line;
use crate::services::Verified;

/// How much of another server's words is handed on, in bytes: what a plugin can say after words of
/// its own.
const WORDS: usize = 400;

impl Context {
    fn may_verify(&self) -> Answer<()> {
        self.plugin.grants.verify(&self.plugin.name).map_err(types::Error::NotGranted)
    }
}

pub(crate) fn check(context: &Context) -> Result<Answer<()>> {
    Ok(context.may_verify())
}

pub(crate) async fn recipient(
    context: &Context,
    to: &types::MailAddress,
) -> Result<Answer<verify::Outcome>> {
    let address = match context.may_verify().and_then(|()| address_or_error(to)) {
        Ok(address) => address,
        Err(error) => return Ok(Err(error)),
    };
    let in_session = context.hook.is_some_and(HookName::has_session);
    let Some(recipients) = context.recipients.upgrade().filter(|_| in_session) else {
        return Ok(Ok(verify::Outcome::Unknown("there is no session here".to_owned())));
    };
    Ok(Ok(match recipients.verified(address).await {
        Verified::Deliverable => verify::Outcome::Deliverable,
        Verified::Undeliverable(reply) => verify::Outcome::Undeliverable(types::Reply {
            text: line(&reply.text, WORDS),
            ..(&reply).into()
        }),
        Verified::Unknown(why) => verify::Outcome::Unknown(line(&why, WORDS)),
    }))
}
