//! What a restriction can see and do: the session and the envelope, as a trait, so that the rules
//! can be tried without a host.

use facteur_plugin::lookup::{self, Found};
use facteur_plugin::{Address, RecipientClass, dns};

/// The session, the envelope and what the host lends.
pub trait Facts {
    /// The client's IP address.
    fn client_address(&self) -> String;
    /// Its verified name. None: it has none, or the DNS can't say now; Postfix answers both alike.
    fn client_name(&self) -> Option<String>;
    /// Its name, verified or not.
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
    /// [`lookup::find`].
    fn find(&self, table: &str, keys: &[String]) -> Result<Option<Found>, lookup::Error>;
    /// [`lookup::user_of`].
    fn user_of(&self, local: &str) -> Option<String>;
    /// [`dns::addresses`].
    fn addresses(&self, name: &str) -> Result<Vec<String>, dns::Error>;
    /// [`dns::mail_exchangers`].
    fn mail_exchangers(&self, name: &str) -> Result<Vec<dns::MailExchanger>, dns::Error>;
    /// Keep the message until the operator releases it.
    fn hold(&self, reason: &str);
    /// Send it there only.
    fn redirect(&self, to: Address);
    /// Send a copy there.
    fn bcc(&self, to: Address);
    /// Put a header before all others.
    fn prepend(&self, name: &str, value: &str);
    /// Tells what happened.
    fn info(&self, text: &str);
    /// Tells what the operator should look at.
    fn warn(&self, text: &str);
}
