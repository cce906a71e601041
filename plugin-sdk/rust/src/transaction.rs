//! The envelope, from MAIL to the end of its data: in all hooks but `on_alias` and
//! `on_authenticate`. In `on_connect` and `on_helo` it may not be there yet: ask [`exists`] first.
//! In the queue it is rebuilt from the store.
//!
//! The functions from [`hold`] on act on the whole message. They add up, come with any verdict, and
//! never end a chain. In the queue and without an envelope they are a trap.

use crate::host::transaction as host;
use crate::{Error, Failure, MailAddress, RecipientClass};

/// Whether there is an envelope. False only in `on_connect` and `on_helo` with `early`.
pub fn exists() -> bool {
    host::exists()
}

/// None is the null sender, <>.
pub fn sender() -> Option<MailAddress> {
    host::sender()
}

/// The class of the sender's address; none for the null sender.
pub fn sender_class() -> Option<RecipientClass> {
    host::sender_class()
}

/// As [`recipient::listed`](crate::recipient::listed), of the sender's address; true for the null
/// sender. A trap in the queue.
///
/// # Errors
/// Nobody can say now.
pub fn sender_listed() -> Result<bool, Failure> {
    host::sender_listed()
}

/// The SIZE that the client declared at MAIL, in bytes.
pub fn declared_size() -> Option<u64> {
    host::declared_size()
}

/// Whether the client declared SMTPUTF8.
pub fn utf8() -> bool {
    host::utf8()
}

/// How many recipients were accepted so far.
pub fn recipient_count() -> u32 {
    host::recipient_count()
}

/// The recipients accepted so far, in the order they came.
pub fn recipients() -> Vec<MailAddress> {
    host::recipients()
}

/// The class of an accepted recipient, by its number in [`recipients`], from 0. None: there are
/// fewer.
pub fn class_of(recipient: u32) -> Option<RecipientClass> {
    host::class_of(recipient)
}

/// As [`recipient::routed`](crate::recipient::routed), of an accepted recipient.
pub fn routed(recipient: u32) -> Option<bool> {
    host::routed(recipient)
}

/// As [`recipient::listed`](crate::recipient::listed), of an accepted recipient.
///
/// # Errors
/// Nobody can say now.
pub fn listed(recipient: u32) -> Result<Option<bool>, Failure> {
    host::listed(recipient)
}

/// A note that an earlier stage or plugin left on this envelope; kept with the message in the
/// queue.
pub fn tag(key: &str) -> Option<String> {
    host::tag(key)
}

/// Leaves a note, as [`session::set_tag`](crate::session::set_tag).
///
/// # Errors
/// As there.
pub fn set_tag(key: &str, value: impl AsRef<str>) -> Result<(), Error> {
    host::set_tag(key, value.as_ref())
}

/// Keeps the message in the queue until an operator releases it.
pub fn hold(reason: impl AsRef<str>) {
    host::hold(reason.as_ref());
}

/// Sends the message to this address only.
///
/// # Errors
/// [`Error::Invalid`]: it is no address.
pub fn redirect(to: &MailAddress) -> Result<(), Error> {
    host::redirect(to)
}

/// Sends a copy to this address, with no notification.
///
/// # Errors
/// [`Error::Invalid`]: it is no address. [`Error::Limit`]: there are 16 already.
pub fn bcc(to: &MailAddress) -> Result<(), Error> {
    host::bcc(to)
}

/// Puts a header before all others. The host cuts the value at 8,192 bytes, makes one line of it,
/// encodes what isn't ASCII and folds it; a name that is none is a trap. No plugin sees it in the
/// message: what the next content plugin is to see is inserted by
/// [`message_edit::insert_header`](crate::message_edit::insert_header).
///
/// # Errors
/// [`Error::Limit`]: there are 32 already.
pub fn prepend_header(name: &str, value: impl AsRef<str>) -> Result<(), Error> {
    host::prepend_header(name, value.as_ref())
}

/// Waits before the reply of this command, in milliseconds (a tarpit). Several add up; the host
/// waits 30,000 at most.
pub fn delay(milliseconds: u64) {
    host::delay(milliseconds);
}
