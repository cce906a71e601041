//! A question, walked down the tree: each call is performed for real, once and in order.

use super::Memo;
use super::tree::{Leaf, Next};
use crate::contract::context::Context;
use crate::contract::door;
use crate::runtime::error::CallError;
use crate::runtime::trap;

/// What came of a walk.
pub(crate) enum Walked {
    /// The plugin's answer.
    Answer(Leaf),
    /// A sandbox is needed; what the walk has heard is in the context, to be played to it.
    Missing(Missing),
}

/// What a sandbox is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nobody has come by here for long: it isn't kept.
    Once,
    /// It is worth keeping.
    Again,
}

/// Walks. `before_acting` is awaited once, before the first call that has an effect: what a sandbox
/// would need is taken there, so that nothing has happened where there is none.
///
/// # Errors
/// A call has no sense here, which would be a trap of the guest; or `before_acting` says no.
pub(crate) async fn walk(
    memo: &Memo,
    context: &mut Context,
    before_acting: impl AsyncFnOnce() -> Result<(), CallError>,
) -> Result<Walked, CallError> {
    let Some(mut next) = memo.tree.first() else {
        memo.miss();
        return Ok(Walked::Missing(missing(memo.is_seen(None, None))));
    };
    let mut before_acting = Some(before_acting);
    loop {
        let node = match next {
            Next::Answer(leaf) => return Ok(Walked::Answer(leaf)),
            Next::Ask(node) => node,
        };
        if node.call.acts()
            && let Some(before_acting) = before_acting.take()
        {
            before_acting().await?;
        }
        let asked = if node.call.waits() {
            door::later(context, &node.call).await
        } else {
            door::now(context, &node.call)
        };
        let reply =
            asked.map_err(|error| CallError::Trap(trap::told(&error, context.own_last_words())))?;
        let known = node.after(&reply);
        let seen = known.is_none() && !reply.passes() && memo.is_seen(Some(&node), Some(&reply));
        context.transcript.foresee(node.call.clone(), reply);
        let Some(known) = known else {
            memo.miss();
            return Ok(Walked::Missing(missing(seen)));
        };
        next = known;
    }
}

fn missing(seen: bool) -> Missing {
    if seen { Missing::Again } else { Missing::Once }
}
