//! Mail that comes back: refused while its client is there, where all that it is for have it
//! already, or were sent it on by an alias of this machine. Else a stranger could have us write a
//! bounce to whomever it names as the sender.
//!
//! What loops only for some is the delivery's to find.

use std::sync::Arc;

use facteur_policy::{Consignment, Content, Edited, FinalRecipient, Outgoing, Policy, Route, Tags};
use facteur_smtp::{Address, Reply};

use crate::delivery::delivered_to::{self, DeliveredTo};

/// The reply, if the message was here before for every recipient: in a mailbox, or at the alias by
/// which it comes. What can't be found out now is no reason to refuse: the delivery asks again.
pub async fn refusal(
    policy: &Arc<Policy>,
    sender: Option<&Address>,
    content: &dyn Content,
    outgoing: &Outgoing,
) -> Option<Reply> {
    let first = outgoing.recipients.first().filter(|_| !outgoing.discard)?;
    let content = outgoing.edited.as_ref().map_or(content, Edited::content);
    let delivered = DeliveredTo::of(b"", &content.headers().ok()?);
    let by_alias =
        |one: &FinalRecipient| one.alias.as_ref().is_some_and(|alias| delivered.names(alias));
    let named = |one: &FinalRecipient| {
        one.refusal.is_none() && (by_alias(one) || delivered.names(&one.address))
    };
    if !outgoing.recipients.iter().all(named) {
        return None;
    }
    let sender = outgoing.sender.as_ref().map_or(sender, Option::as_ref);
    let tags = Tags::restore(outgoing.tags.clone());
    for one in outgoing.recipients.iter().filter(|one| !by_alias(one)) {
        let consignment = Consignment {
            sender: one.sender.as_ref().or(sender),
            tags: &tags,
            utf8: false,
            address: &one.address,
            original: &one.original,
        };
        if policy.next_hop(consignment, &Arc::default()).await != Ok(Route::Maildir) {
            return None;
        }
    }
    let known = first.alias.as_ref().filter(|_| by_alias(first));
    Some(delivered_to::refusal(known.unwrap_or(&first.address)))
}
