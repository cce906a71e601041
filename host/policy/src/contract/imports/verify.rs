//! `verify`: whether mail for an address would be taken, here or where it goes.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::{types, verify};
use crate::contract::checks::{checked_address, printable};
use crate::contract::context::Context;
use crate::services::Verified;

/// How much of another server's words is handed on, in bytes: what a plugin can say after words of
/// its own.
const WORDS: usize = 400;

impl verify::Host for Context {
    fn check(&mut self) -> Result<std::result::Result<(), verify::Error>> {
        Ok(self.plugin.grants.verify(&self.plugin.name).map_err(verify::Error::NotGranted))
    }

    async fn recipient(
        &mut self,
        to: types::Address,
    ) -> Result<std::result::Result<verify::Outcome, verify::Error>> {
        if let Err(line) = self.plugin.grants.verify(&self.plugin.name) {
            return Ok(Err(verify::Error::NotGranted(line)));
        }
        let address = checked_address(&to)?;
        let Some(recipients) = self.recipients.upgrade() else {
            return Ok(Ok(verify::Outcome::Unknown("there is no session here".to_owned())));
        };
        Ok(Ok(match recipients.verified(address).await {
            Verified::Deliverable => verify::Outcome::Deliverable,
            Verified::Undeliverable(reply) => verify::Outcome::Undeliverable(types::Reply {
                code: reply.code,
                status: reply.enhanced.map(|status| status.to_string()),
                text: short(&reply.text),
            }),
            Verified::Unknown(why) => verify::Outcome::Unknown(short(&why)),
        }))
    }
}

/// In one line, and not a long one.
fn short(text: &str) -> String {
    let text = printable(text);
    let end = text.floor_char_boundary(WORDS);
    text[..end].to_owned()
}
