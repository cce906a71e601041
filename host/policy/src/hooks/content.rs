//! Asks the content plugins about a message, one after the other, each about what the ones before
//! it made of it.
//!
//! There is no yes that spares a message those after it: only a refusal, a discard or the end of
//! the chain is the end. What a plugin edits, in the message and in the envelope, counts once it
//! has answered; a plugin that fails leaves both as they were.

use std::borrow::Cow;

use crate::contract::bindings::facteur::policy::types;
use crate::contract::checks::Broken;
use crate::contract::context::{Context, Scope};
use crate::contract::exports::HookName;
use crate::contract::verdict::Verdict;
use crate::dispatch::{Dispatch, Hook};
use crate::facts::EnvelopeFacts;
use crate::hooks::restriction::{Settled, on_error};
use crate::message::{Draft, Message};
use crate::plugin::Plugin;
use crate::trace::Told;

/// A verdict, and what was edited: in words, and the message with it.
pub(crate) struct Inspected {
    verdict: Verdict,
    edits: String,
    edited: Option<Message>,
}

impl Told for Inspected {
    fn told(&self) -> Cow<'static, str> {
        let verdict = self.verdict.told();
        if self.edits.is_empty() { verdict } else { format!("{verdict} ({})", self.edits).into() }
    }

    fn refuses(&self) -> bool {
        self.verdict.refuses()
    }
}

/// The question.
struct Content;

impl Hook for Content {
    type Raw = types::ContentVerdict;
    type Answer = Inspected;

    fn name(&self) -> HookName {
        HookName::Content
    }

    fn prepare(&self, context: &mut Context) {
        context.draft = Some(Draft::default());
    }

    fn check(
        &self,
        _: &Plugin,
        context: &mut Context,
        raw: types::ContentVerdict,
    ) -> Result<Inspected, Broken> {
        let verdict = Verdict::check_content(raw)?;
        let draft = context.draft.take().unwrap_or_default();
        let edits = draft.told();
        let edited = match &context.scope {
            Scope::Transaction(.., Some(message)) => draft.apply(message).map_err(Broken)?,
            _ => None,
        };
        Ok(Inspected { verdict, edits, edited })
    }
}

/// Asks all of them about the message of this envelope.
pub(crate) async fn inspect(dispatch: &Dispatch, envelope: &EnvelopeFacts) -> Settled {
    let mut settled = Settled::default();
    for (number, plugin) in dispatch.chain().iter().enumerate() {
        if !plugin.wants(HookName::Content) {
            continue;
        }
        let before = envelope.changing.lock().clone();
        let verdict = match dispatch.ask(number, &Content).await {
            // In the shadow it had an envelope of its own, and its edits are dropped.
            Ok(None) => continue,
            Ok(Some(Inspected { verdict, edited, .. })) => {
                if let Some(message) = edited {
                    dispatch.show(message);
                }
                verdict
            }
            Err(error) => {
                *envelope.changing.lock() = before;
                on_error(plugin, &error)
            }
        };
        if settled.take(verdict) {
            break;
        }
    }
    settled
}
