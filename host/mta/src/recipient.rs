//! A recipient between policy, which finds out who it is, and the store, which keeps it.

pub mod notes;

use facteur_policy::FinalRecipient;
use facteur_smtp::{Address, Notify};
use facteur_spool::{Message, Recipient, RecipientHead, Target};

/// A final recipient as the store takes it.
pub fn new(one: FinalRecipient, notify: Option<Notify>, orcpt: Option<String>) -> RecipientHead {
    RecipientHead {
        orcpt,
        notify,
        // What comes through a list with an owner is the owner's to hear about.
        sender: one.sender.map(Some),
        target: Target::Address,
        tags: notes::new(one.alias.as_ref(), one.list.as_deref()),
        class: one.class.as_str().to_owned(),
        refusal: one.refusal,
        address: one.address,
        original: one.original,
    }
}

/// The envelope sender of a recipient: its own, where it came through a list.
pub fn sender<'a>(message: &'a Message, recipient: &'a Recipient) -> Option<&'a Address> {
    recipient.sender.as_ref().unwrap_or(&message.sender).as_ref()
}
