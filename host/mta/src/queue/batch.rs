//! What is delivered together: recipients of one message that share a route, an envelope
//! sender and the alias that they came by, which the message names to them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::decisions::{Decisions, Record};
use crate::recipient::{self, notes};
use facteur_policy::{Consignment, Policy, Route, SmtpRoute, Tags};
use facteur_smtp::Address;
use facteur_spool::{Message, QueueId, Recipient, RecipientId, Target};
use tokio::sync::OwnedSemaphorePermit;

/// Who shares concurrency, rate and fate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A next hop.
    Smtp(SmtpRoute),
    /// One mailbox: a slow one holds up no other.
    Mailbox(Address),
    /// Nothing leaves the program: bounces, deferrals, discards.
    Internal,
}

/// A message that is kept in memory from its arrival to its first attempt, and the memory it is
/// allowed.
#[derive(Debug)]
pub struct InMemory {
    /// With all its recipients.
    pub message: Message,
    /// Given back when the last batch of the message is done.
    pub _room: OwnedSemaphorePermit,
}

/// One attempt to come.
#[derive(Debug)]
pub struct Batch {
    /// The message.
    pub message: QueueId,
    /// Its recipients with their domains: those that the agenda knows them by.
    pub recipients: Vec<(RecipientId, Arc<str>)>,
    /// Where they go.
    pub route: Route,
    /// Who shares this fate.
    pub destination: Destination,
    /// No other attempt at the message was under way, and nobody is to be told of it, when this one
    /// began.
    pub alone: bool,
    /// The message itself, if there was room to keep it; otherwise it is read again.
    pub kept: Option<Arc<InMemory>>,
}

/// Asks for the route of each of these recipients, and puts together those that go together, at
/// most `size` at a time.
pub async fn batches(
    policy: &Arc<Policy>,
    decisions: &Decisions,
    message: &Message,
    recipients: &[Recipient],
    kept: Option<&Arc<InMemory>>,
    size: usize,
) -> Vec<Batch> {
    let mut made: Vec<Batch> = Vec::new();
    let mut open: HashMap<_, usize> = HashMap::new();
    for recipient in recipients {
        let route = route(policy, decisions, message, recipient).await;
        let destination = destination(&route, &recipient.address);
        let place = (recipient.id, Arc::from(recipient.address.domain()));
        let sender = recipient.sender.clone().unwrap_or_else(|| message.sender.clone());
        let alias = notes::alias(&recipient.tags);
        let key = (route.clone(), sender, alias, destination.clone());
        if let Some(batch) = open.get(&key).and_then(|&index| made.get_mut(index))
            && batch.recipients.len() < size
        {
            batch.recipients.push(place);
            continue;
        }
        open.insert(key, made.len());
        made.push(Batch {
            message: message.queue_id,
            recipients: vec![place],
            route,
            destination,
            alone: false,
            kept: kept.cloned(),
        });
    }
    made
}

async fn route(
    policy: &Arc<Policy>,
    decisions: &Decisions,
    message: &Message,
    recipient: &Recipient,
) -> Route {
    if let Some(reply) = &recipient.refusal {
        return Route::Error(reply.clone());
    }
    if recipient.target != Target::Address {
        // Its members are recipients of their own.
        return Route::Discard;
    }
    let sender = recipient::sender(message, recipient);
    let tags = Tags::restore(message.tags.clone());
    let consignment = Consignment {
        sender,
        tags: &tags,
        utf8: message.utf8,
        address: &recipient.address,
        original: &recipient.original,
    };
    let trace = Arc::default();
    let route = match policy.next_hop(consignment, &trace).await {
        Ok(route) => route,
        // Undecided: it waits, and is asked again.
        Err(later) => Route::Error(later),
    };
    let steps = trace.take();
    if steps.iter().any(|step| step.plugin.is_some()) {
        decisions.keep(Record::delivery(
            message.queue_id,
            &recipient.address,
            steps,
            format!("next: {route}"),
        ));
    }
    route
}

fn destination(route: &Route, address: &Address) -> Destination {
    match route {
        Route::Smtp(smtp) => Destination::Smtp(smtp.clone()),
        Route::Maildir => Destination::Mailbox(address.clone()),
        Route::Discard | Route::Error(_) => Destination::Internal,
    }
}
