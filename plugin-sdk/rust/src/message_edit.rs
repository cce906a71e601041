//! Edits of the message and of its envelope: in `on_content` only.
//!
//! They come into force when the plugin has answered with a verdict (one that fails leaves none),
//! and are seen by the plugins after it. The plugin itself goes on seeing the message as it was
//! handed to it: numbers and offsets mean that, whatever it has edited before. Where it edits one
//! header twice, the last word stands.
//!
//! Names and values are as for
//! [`transaction::prepend_header`](crate::transaction::prepend_header). One plugin makes at most
//! 1,000 edits of the headers of a message, with at most 102,400 bytes of new headers
//! ([`Error::Limit`]).

use crate::host::message_edit as host;
use crate::{Error, MailAddress};

/// Puts a header after all others.
///
/// # Errors
/// [`Error::Limit`]
pub fn add_header(name: &str, value: impl AsRef<str>) -> Result<(), Error> {
    host::add_header(name, value.as_ref())
}

/// Puts a header before the one with this number, counted from 0 as by
/// [`message::headers`](crate::message::headers).
///
/// # Errors
/// [`Error::Limit`]
pub fn insert_header(index: u32, name: &str, value: impl AsRef<str>) -> Result<(), Error> {
    host::insert_header(index, name, value.as_ref())
}

/// Gives another value to a header: of those with this name, the one with this number, from 0.
/// Whether there is one.
///
/// # Errors
/// [`Error::Limit`]
pub fn replace_header(name: &str, occurrence: u32, value: impl AsRef<str>) -> Result<bool, Error> {
    host::replace_header(name, occurrence, value.as_ref())
}

/// Takes a header out: of those with this name, the one with this number, from 0, or else all. How
/// many there are.
///
/// # Errors
/// [`Error::Limit`]
pub fn remove_header(name: &str, occurrence: Option<u32>) -> Result<u32, Error> {
    host::remove_header(name, occurrence)
}

/// Puts another body in place of this one, in chunks of at most 65,536 bytes. It is in force once
/// the last one came; an answer before that is a trap, as is a chunk after it.
///
/// # Errors
/// [`Error::TooLarge`]: more bytes than the host takes as a message.
pub fn replace_body(chunk: &[u8], last: bool) -> Result<(), Error> {
    host::replace_body(chunk, last)
}

/// Keeps the message in the queue until an operator releases this very one.
pub fn quarantine(reason: impl AsRef<str>) {
    host::quarantine(reason.as_ref());
}

/// Sends it to this address too, as if it had been given at RCPT.
///
/// # Errors
/// [`Error::Invalid`]: it is no address. [`Error::Limit`]: there are 100 added ones already.
pub fn add_recipient(to: &MailAddress) -> Result<(), Error> {
    host::add_recipient(to)
}

/// Doesn't send it to this accepted or added address. Whether it was there.
///
/// # Errors
/// [`Error::Invalid`]: it is no address.
pub fn remove_recipient(to: &MailAddress) -> Result<bool, Error> {
    host::remove_recipient(to)
}

/// Another sender, to whom bounces go; none is the null sender.
///
/// # Errors
/// [`Error::Invalid`]: it is no address.
pub fn set_sender(sender: Option<&MailAddress>) -> Result<(), Error> {
    host::set_sender(sender)
}
