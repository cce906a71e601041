//! What goes into the store and comes out of it: messages, recipients, outcomes, and the views of
//! the queue.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use facteur_smtp::{Address, Notify, Reply, Ret, ReversePath};

use crate::{Body, MessageId, NewBody, QueueId, RecipientId, Timestamp};

/// What is known about who handed the message in; text for the log, headers and plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The network address, without port.
    pub address: String,
    /// The verified host name, or "unknown".
    pub name: String,
    /// What it called itself.
    pub helo: String,
    /// SMTP, ESMTP, …
    pub protocol: String,
    /// The login name, if it authenticated.
    pub login: Option<String>,
}

/// What is known of a message from its beginning to its end, before and in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// Its identity: a second insert of the same id finds the first.
    pub id: MessageId,
    /// The name under which it is queued; of a new message the one that it asks for, from
    /// [`crate::Spool::queue_id`]. In the rare case that a message of twelve days ago still has
    /// that, it gets the next free one.
    pub queue_id: QueueId,
    /// The envelope sender; none is the null sender.
    pub sender: ReversePath,
    /// When its data ended; also the first time its recipients are due.
    pub received_at: Timestamp,
    /// What intake puts before what was received (Received: and the like), CRLF lines.
    pub header: Bytes,
    /// Who handed it in.
    pub client: Client,
    /// The headers need SMTPUTF8. What an address needs is seen in the address.
    pub utf8: bool,
    /// BODY=8BITMIME was declared.
    pub eight_bit: bool,
    /// RET of the DSN extension (RFC 3461).
    pub ret: Option<Ret>,
    /// ENVID of the DSN extension, xtext decoded.
    pub envid: Option<String>,
    /// What plugins noted on the message, in order.
    pub tags: Vec<(String, String)>,
}

impl MessageHead {
    /// A message of nobody's, with the null sender, of which nothing else is known.
    pub fn new(id: MessageId, queue_id: QueueId, received_at: Timestamp) -> Self {
        Self {
            id,
            queue_id,
            sender: None,
            received_at,
            header: Bytes::new(),
            client: Client::default(),
            utf8: false,
            eight_bit: false,
            ret: None,
            envid: None,
            tags: Vec::new(),
        }
    }
}

/// A message on its way into the store. Its head is read as its own fields.
#[derive(Debug)]
pub struct NewMessage {
    /// What it keeps.
    pub head: MessageHead,
    /// What was received, CRLF lines, not dot-stuffed.
    pub body: NewBody,
    /// Not tried until it is released, if there is a reason for that.
    pub hold: Option<Hold>,
    /// Its recipients; at most [`crate::MAX_RECIPIENTS`]. With none the message is not stored,
    /// which is an error.
    pub recipients: Vec<RecipientHead>,
}

/// Why a message isn't tried until an operator releases it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// [`RecipientState::Hold`], for this reason.
    Hold(String),
    /// [`RecipientState::Quarantine`], for this reason.
    Quarantine(String),
}

impl Hold {
    /// The state of its recipients.
    pub fn state(&self) -> RecipientState {
        match self {
            Self::Hold(_) => RecipientState::Hold,
            Self::Quarantine(_) => RecipientState::Quarantine,
        }
    }

    /// The reason, for the operator.
    pub fn reason(&self) -> &str {
        let (Self::Hold(reason) | Self::Quarantine(reason)) = self;
        reason
    }
}

/// What a recipient is. More kinds (command, file) come with their deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// A mail address.
    #[default]
    Address,
    /// An alias, beside the members that it stands for: kept so that its sender hears of it, and of
    /// none of them (RFC 3461 section 5.2.7).
    Alias,
    /// The same for an alias with an owner, who hears of the members from then on.
    List,
}

/// How a recipient ended (RFC 3464 section 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was given up.
    Failed,
    /// It is in the mailbox.
    Delivered,
    /// A server has it that doesn't send notices.
    Relayed,
    /// Its members have it.
    Expanded,
}

impl End {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Failed, Self::Delivered, Self::Relayed, Self::Expanded];

    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// What is known of a final recipient from its beginning to its end, before and in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientHead {
    /// Where it goes.
    pub address: Address,
    /// The address given at RCPT.
    pub original: Address,
    /// ORCPT of the DSN extension, xtext decoded: `rfc822;user@example.org`.
    pub orcpt: Option<String>,
    /// NOTIFY of the DSN extension; none: not said.
    pub notify: Option<Notify>,
    /// An envelope sender of its own (lists): `Some(None)` is the null sender.
    pub sender: Option<ReversePath>,
    /// What kind of recipient this is.
    pub target: Target,
    /// What plugins noted on the recipient, in order.
    pub tags: Vec<(String, String)>,
    /// The class of its address (local, relay, …), the caller's word.
    pub class: String,
    /// Refused at intake with this reply: the queue only bounces it.
    pub refusal: Option<Reply>,
}

impl RecipientHead {
    /// An address that came by no alias, of which nothing else is known.
    pub fn new(address: Address, class: &str) -> Self {
        Self {
            original: address.clone(),
            address,
            orcpt: None,
            notify: None,
            sender: None,
            target: Target::Address,
            tags: Vec::new(),
            class: class.to_owned(),
            refusal: None,
        }
    }
}

/// What became of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The name under which it is queued.
    pub queue_id: QueueId,
    /// Its recipients, in the order given. For a duplicate: those still there.
    pub recipients: Vec<RecipientId>,
    /// The same message was there already; nothing was written.
    pub duplicate: bool,
}

/// Where a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientState {
    /// Tried when its next try has come.
    Queued,
    /// Not tried until it is released.
    Hold,
    /// Not tried until it is released, by its own queue id: never along with others.
    Quarantine,
    /// What is stored can't be read; not tried until it is released.
    Corrupt,
    /// Done with, but its sender isn't told yet: one notice tells of all that end together.
    Ended(End),
}

impl RecipientState {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Hold => "hold",
            Self::Quarantine => "quarantine",
            Self::Corrupt => "corrupt",
            Self::Ended(end) => end.as_str(),
        }
    }
}

/// A message as the store holds it. Its head is read as its own fields.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it came with.
    pub head: MessageHead,
    /// Octets of header and body.
    pub size: u64,
    /// What was received.
    pub body: Body,
    /// Why it is on hold, in quarantine or corrupt.
    pub reason: Option<String>,
    /// The recipients that were asked for and are still there.
    pub recipients: Vec<Recipient>,
}

/// A recipient as the store holds it. Its head is read as its own fields.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Its name in the store.
    pub id: RecipientId,
    /// What it came with.
    pub head: RecipientHead,
    /// Where it stands.
    pub state: RecipientState,
    /// When it is due.
    pub next_try: Timestamp,
    /// How often it was deferred.
    pub attempts: u32,
    /// What the last attempt brought.
    pub last_reply: Option<Reply>,
    /// Who said so: the remote server of the last attempt.
    pub remote: Option<String>,
}

macro_rules! heads {
    ($($type:ident: $head:ident),+) => {
        $(
            impl Deref for $type {
                type Target = $head;

                fn deref(&self) -> &$head {
                    &self.head
                }
            }

            impl DerefMut for $type {
                fn deref_mut(&mut self) -> &mut $head {
                    &mut self.head
                }
            }
        )+
    };
}

heads!(NewMessage: MessageHead, Message: MessageHead, Recipient: RecipientHead);

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct RecipientUpdate {
    /// Which one; its message is in the id. An outcome for one that is no longer there (deleted
    /// meanwhile) is ignored.
    pub recipient: RecipientId,
    /// What became of it.
    pub what: Update,
}

/// The ends of an attempt as the store sees them.
#[derive(Clone, Debug)]
pub enum Update {
    /// Nothing more to do: delivered, bounced, discarded. The recipient goes, and with the last one
    /// the message.
    Done,
    /// Nothing more to do but to tell the sender: the recipient stays until then, in
    /// [`RecipientState::Ended`].
    Ended {
        /// How.
        end: End,
        /// In whose words.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
    },
    /// To be tried again.
    Deferred {
        /// When.
        next_try: Timestamp,
        /// Why.
        reply: Reply,
        /// Who said so.
        remote: Option<String>,
    },
}

/// A recipient domain with something queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The domain of the recipient's address; empty for bare names.
    pub domain: String,
    /// When the first of its recipients is due.
    pub next_try: Timestamp,
}

/// A recipient that is due. Found by the index alone; [`crate::Spool::load`] gives the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRecipient {
    /// Which one.
    pub id: RecipientId,
    /// Its message.
    pub message: QueueId,
    /// Since when it is due.
    pub next_try: Timestamp,
}

/// A page of what is due at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// In the order of `next_try`, then id. The last one is the cursor for the next page.
    pub recipients: Vec<DueRecipient>,
    /// The `next_try` of the first one not in this page: not after the time asked for if the page
    /// was full, later otherwise; none if nothing is left.
    pub next: Option<Timestamp>,
}

/// Which messages an operator means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every one in the store.
    All,
    /// This one.
    Message(QueueId),
}

/// A message in a listing: text only, so that it can be shown whatever is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The name under which it is queued.
    pub queue_id: QueueId,
    /// When its data ended.
    pub received_at: Timestamp,
    /// Octets of header and body.
    pub size: u64,
    /// The envelope sender; empty is the null sender.
    pub sender: String,
    /// Why it is on hold, in quarantine or corrupt.
    pub reason: Option<String>,
    /// Its first recipients, at most 1,000.
    pub recipients: Vec<SummaryRecipient>,
    /// How many it has in all.
    pub recipient_count: u64,
}

/// A recipient in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRecipient {
    /// Where it goes.
    pub address: String,
    /// Where it stands: queued, hold, quarantine, corrupt.
    pub state: String,
    /// When it is due.
    pub next_try: Timestamp,
    /// How often it was deferred.
    pub attempts: u32,
    /// What the last attempt brought, in one line.
    pub last_reply: Option<String>,
    /// Who said so.
    pub remote: Option<String>,
}
