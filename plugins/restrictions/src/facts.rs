//! What a restriction can see and do: the session and the envelope, as a trait, so that the rules
//! can be tried without them. What the host lends it asks of the SDK.

use facteur_plugin::access::Client;
use facteur_plugin::{Address, RecipientClass};

/// The session and the envelope.
pub trait Facts: Client {
    /// The client's name, verified or not.
    fn reverse_name(&self) -> Option<String>;
    /// Whether it is in one of the operator's trusted networks.
    fn trusted(&self) -> bool;
    /// Whether it has logged in.
    fn logged_in(&self) -> bool;
    /// What HELO or EHLO said.
    fn helo(&self) -> Option<String>;
    /// Whether the client declared SMTPUTF8.
    fn utf8(&self) -> bool;
    /// Whether there is an envelope to act on.
    fn in_transaction(&self) -> bool;
    /// The class of `sender`.
    fn sender_class(&self) -> Option<RecipientClass>;
    /// The sender; None is the null sender. Only in a transaction.
    fn sender(&self) -> Option<Address>;
    /// The recipient that is asked about; after RCPT the only one, if there is only one.
    fn recipient(&self) -> Option<Address>;
    /// The class of `recipient`.
    fn class(&self) -> RecipientClass;
    /// Whether `recipient` tries to route by itself.
    fn routed(&self) -> bool;
    /// Whether `recipient` exists, or why nobody can say now.
    fn listed(&self) -> Result<bool, String>;
    /// How many recipients were accepted so far.
    fn accepted(&self) -> usize;
    /// Keep the message until the operator releases it.
    fn hold(&self, reason: &str);
    /// Send it there only.
    fn redirect(&self, to: Address);
    /// Send a copy there.
    fn bcc(&self, to: Address);
    /// Put a header before all others.
    fn prepend(&self, name: &str, value: &str);
}
