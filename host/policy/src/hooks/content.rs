//! Asks the content plugins about a message, one after the other, each about what the ones before
//! it made of it.
//!
//! `accept` spares a message nothing: only a refusal, a discard or the end of the chain is the end.
//! What a plugin edits, in the message and in the envelope, counts once it has answered; a plugin
//! that fails leaves both as they were.

use std::borrow::Cow;
use std::sync::Arc;

use wasmtime::component::Resource;

use crate::asker::{Asker, Question};
use crate::contract::bindings::{MessageHandle, SessionHandle, TransactionHandle};
use crate::contract::exports::Content;
use crate::contract::verdict::Verdict;
use crate::hooks::restriction::{Outcome, Settled, on_error};
use crate::message::edits::Draft;
use crate::plugin::Plugin;
use crate::story::Told;

/// A verdict, and what was edited, in words.
struct Inspected {
    verdict: Verdict,
    edits: String,
}

impl Told for Inspected {
    fn told(&self) -> Cow<'static, str> {
        let verdict = self.verdict.told();
        if self.edits.is_empty() { verdict } else { format!("{verdict} ({})", self.edits).into() }
    }
}

/// Asks all of them.
pub(crate) async fn inspect(asker: &Asker) -> Settled {
    let mut settled = Settled::default();
    for number in 0..asker.chain.len() {
        let plugin = &asker.chain[number];
        let Some(hook) = &plugin.hooks.content else { continue };
        settled.outcome = match ask(asker, number, plugin, hook).await {
            // `allow-relay` was refused as an answer.
            Verdict::Dunno | Verdict::Accept | Verdict::AllowRelay => continue,
            Verdict::DeferIfPermit(reply) => {
                settled.defer_if_permit.get_or_insert(reply);
                continue;
            }
            Verdict::DeferIfReject(reply) => {
                settled.defer_if_reject.get_or_insert(reply);
                continue;
            }
            Verdict::Refuse(reply) => Outcome::Refuse(reply),
            Verdict::Drop(reply) => Outcome::Drop(reply),
            Verdict::Discard => Outcome::Discard,
        };
        break;
    }
    settled
}

async fn ask(asker: &Asker, number: usize, plugin: &Arc<Plugin>, hook: &Content) -> Verdict {
    let Some(envelope) = &asker.envelope else { return Verdict::Dunno };
    let before = envelope.changing.lock().clone();
    let mut edited = None;
    let answer = asker
        .ask(number, Question { name: "content", about: None }, async |store, instance| {
            store.data_mut().draft = Some(Draft::default());
            let s = Resource::<SessionHandle>::new_borrow(0);
            let t = Resource::<TransactionHandle>::new_borrow(0);
            let m = Resource::<MessageHandle>::new_borrow(0);
            let answer = hook.inspect.call(store, instance, (s, t, m)).await?;
            // The sandbox may be asked again at another stage, where nothing is edited.
            let draft = store.data_mut().draft.take().unwrap_or_default();
            let raw = match answer {
                Ok(raw) => raw,
                Err(failure) => return Ok(Err(failure)),
            };
            let verdict = Verdict::check(raw).map_err(|broken| wasmtime::Error::msg(broken.0))?;
            if verdict == Verdict::AllowRelay {
                wasmtime::bail!("allow-relay is for the stage rcpt only");
            }
            let edits = draft.told();
            if let Some(message) = &store.data().view.message {
                edited = draft.apply(message).map_err(wasmtime::Error::msg)?;
            }
            Ok(Ok(Inspected { verdict, edits }))
        })
        .await;
    match answer {
        // In the shadow: it had an envelope of its own, and its edits are dropped.
        Ok(None) => Verdict::Dunno,
        Ok(Some(Inspected { verdict, .. })) => {
            if let Some(message) = edited {
                asker.show(message);
            }
            verdict
        }
        Err(error) => {
            *envelope.changing.lock() = before;
            on_error(plugin, &error)
        }
    }
}
