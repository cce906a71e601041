//! `verify`: whether mail for an address would be taken, here or where it goes.

use std::sync::Weak;

use facteur_smtp::{Address, Reply};
use wasmtime::Result;

use crate::asker::Asker;
use crate::contract::bindings::facteur::policy::{types, verify};
use crate::contract::imports::checked_address;
use crate::contract::sandbox::State;
use crate::facts::RecipientFacts;
use crate::hooks::alias;
use crate::hooks::transport::{Consignment, Route};
use crate::services::Verified;
use crate::tags::Tags;

/// How much of another server's words is handed on, in bytes: what a plugin can say after words of
/// its own.
const WORDS: usize = 400;

impl verify::Host for State {
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
        let address = checked_address(&to).map_err(wasmtime::Error::msg)?;
        let Some(asker) = self.view.asker.as_ref().and_then(Weak::upgrade) else {
            return Ok(Ok(verify::Outcome::Unknown("there is no session here".to_owned())));
        };
        // Boxed: the answer may take another plugin, which is of the same kind as this one.
        Ok(Ok(match Box::pin(verified(&asker, address)).await {
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

/// What this host knows of the address itself, and for what it only hands on, what the next hop
/// knows.
async fn verified(asker: &Asker, address: Address) -> Verified {
    let policy = &asker.policy;
    let address = policy.domains.complete(address);
    let recipient = RecipientFacts::new(&policy.domains, address.clone(), address.clone(), false);
    let expansion = asker.expansion(&recipient).await;
    if let Some(reply) = expansion.refusal() {
        return refused(reply.clone());
    }
    let is_itself = matches!(&*expansion.results, [one]
        if one.address == address && matches!(one.outcome, alias::Outcome::Deliver));
    if !is_itself {
        // An alias vouches for it, as it does at RCPT.
        return Verified::Deliverable;
    }
    let utf8 = address.needs_smtputf8();
    let tags = Tags::default();
    let consignment =
        Consignment { sender: None, tags: &tags, utf8, address: &address, original: &address };
    match policy.next_hop_with(consignment, &asker.services, asker.run, &asker.story).await {
        Ok(Route::Smtp(route)) => asker.services.verify.callout(&address, &route).await,
        Ok(Route::Maildir | Route::Discard) => Verified::Deliverable,
        Ok(Route::Error(reply)) | Err(reply) => refused(reply),
    }
}

fn refused(reply: Reply) -> Verified {
    if reply.is_permanent() {
        Verified::Undeliverable(reply)
    } else {
        Verified::Unknown(reply.text)
    }
}

/// In one line, and not a long one.
fn short(text: &str) -> String {
    let text = super::printable(text);
    let end = text.floor_char_boundary(WORDS);
    text[..end].to_owned()
}
