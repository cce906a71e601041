//! The DNS, through the operator's resolver and its cache. Needs the grant `dns = true`.
//!
//! A name that doesn't exist is [`Error::NotFound`]; one that has nothing of the type that was
//! asked for has an empty list. [`Error::Timeout`] and [`Error::Unavailable`] mean: try later.

use crate::Error;
pub use crate::bindings::facteur::policy::dns::MailExchanger;
use crate::host::dns as host;

/// The IPv4 and IPv6 addresses of a name.
///
/// # Errors
/// Whatever the DNS said but addresses, or that it isn't granted.
pub fn addresses(name: &str) -> Result<Vec<String>, Error> {
    host::addresses(name)
}

/// The MX records of a domain, lowest preference first. Never the implicit one: a domain without
/// any has none.
///
/// # Errors
/// Whatever the DNS said but MX records, or that it isn't granted.
pub fn mail_exchangers(name: &str) -> Result<Vec<MailExchanger>, Error> {
    host::mail_exchangers(name)
}

/// The TXT records of a name, each joined to one.
///
/// # Errors
/// Whatever the DNS said but TXT records, or that it isn't granted.
pub fn texts(name: &str) -> Result<Vec<Vec<u8>>, Error> {
    host::texts(name)
}

/// The name servers of a domain.
///
/// # Errors
/// Whatever the DNS said but NS records, or that it isn't granted.
pub fn name_servers(name: &str) -> Result<Vec<String>, Error> {
    host::name_servers(name)
}

/// The names of an IP address, unverified.
///
/// # Errors
/// Whatever the DNS said but names, or that it isn't granted.
pub fn names_of(address: &str) -> Result<Vec<String>, Error> {
    host::names_of(address)
}

/// Whether the DNS is granted; to be asked in `init`. Asks nothing of the DNS.
///
/// # Errors
/// A text for the operator: the line to add.
pub fn check() -> Result<(), String> {
    host::check().map_err(|error| error.explain().to_string())
}
