//! The recipient that is asked about: in `on_rcpt`, `on_alias`, `on_transport` and `on_delivery`.

use crate::host::recipient as host;
use crate::{Failure, MailAddress, RecipientClass};

/// The address that is asked about.
pub fn address() -> MailAddress {
    host::address()
}

/// As the client gave it at RCPT, before aliases. The same as [`address`] in `on_rcpt`.
pub fn original() -> MailAddress {
    host::original()
}

/// The class of [`address`].
pub fn address_class() -> RecipientClass {
    host::address_class()
}

/// Whether the address tries to route by itself: a source route, or @, % or ! in its local part.
/// The host relays such a recipient only through `AllowRelay`, whatever its class.
pub fn routed() -> bool {
    host::routed()
}

/// Whether an alias plugin or a mailbox vouches for the address. The host asks once and keeps the
/// answer. For the classes `Relay` and `Other` it is true. A trap in `on_alias`.
///
/// # Errors
/// The failure of the plugin that was asked.
pub fn listed() -> Result<bool, Failure> {
    host::listed()
}
