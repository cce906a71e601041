//! The client's connection: in the hooks of a session, which are all but `on_alias`, `on_transport`
//! and `on_delivery`.

use crate::Error;
use crate::host::session as host;

/// The same for the whole session, unique for this process; it stands in the log lines of the
/// session.
pub fn id() -> String {
    host::id()
}

/// The address of the `[[listen]]` the client came to, as the configuration writes it.
pub fn listener() -> String {
    host::listener()
}

/// The client's IP address, without brackets; IPv4 is never written as IPv6.
pub fn client_address() -> String {
    host::client_address()
}

/// The client's port.
pub fn client_port() -> u16 {
    host::client_port()
}

/// The verified reverse name: the name's own addresses hold the client's. None: there is none, or
/// it doesn't agree. Asked of the DNS when first called.
///
/// # Errors
/// [`Error::Unavailable`]: the DNS can't say now.
pub fn client_name() -> Result<Option<String>, Error> {
    host::client_name()
}

/// The reverse name, verified or not. Asked of the DNS when first called.
///
/// # Errors
/// As [`client_name`].
pub fn reverse_name() -> Result<Option<String>, Error> {
    host::reverse_name()
}

/// Whether the client's address is in one of these networks: addresses and CIDR networks, with
/// commas or spaces between them.
///
/// # Errors
/// [`Error::Invalid`]: one of them is none.
pub fn client_in(networks: &str) -> Result<bool, Error> {
    host::client_in(networks)
}

/// Whether the client is in one of the operator's `networks.trusted`.
pub fn trusted() -> bool {
    host::trusted()
}

/// What HELO or EHLO said, in ASCII. None before.
pub fn helo() -> Option<String> {
    host::helo()
}

/// Whether it was EHLO.
pub fn esmtp() -> bool {
    host::esmtp()
}

/// Who the client proved to be. None: nobody.
pub fn login() -> Option<String> {
    host::login()
}

/// What has no function of its own, by its name. None: it isn't so, or this host knows no such
/// fact. What a stranger wrote is cut at 512 bytes, its control characters replaced.
///
/// Of the connection: `tls.version`, `tls.cipher`, `tls.sni`; of the client's certificate
/// `tls.client-fingerprint`, `tls.client-key-fingerprint`, `tls.client-subject`,
/// `tls.client-verified` (`true`, `false`); `auth.mechanism`; `smtp.unauth-pipelining` (`true`).
///
/// Of the command MAIL, where there is an envelope: `mail.body`, `mail.ret`, `mail.envid`. Of the
/// command RCPT, in `on_rcpt`: `rcpt.notify`, `rcpt.orcpt`.
pub fn fact(name: &str) -> Option<String> {
    host::fact(name)
}

/// A note that an earlier stage or plugin of this session left.
pub fn tag(key: &str) -> Option<String> {
    host::tag(key)
}

/// Leaves a note for later stages and plugins. The key has 1 to 64 bytes; at most 1,024 bytes of
/// the value are kept.
///
/// # Errors
/// [`Error::Limit`]: there are 64 notes already. [`Error::Invalid`]: the key is none.
pub fn set_tag(key: &str, value: impl AsRef<str>) -> Result<(), Error> {
    host::set_tag(key, value.as_ref())
}
