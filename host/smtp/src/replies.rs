//! Replies that are given in more than one place, by name.

use crate::reply::Reply;
use crate::status;

impl Reply {
    /// Done.
    pub fn ok() -> Self {
        Self::new(250, status::UNDEFINED, "Ok")
    }

    /// A command of mail on a listener that takes mail under TLS only (RFC 3207 section 4).
    pub fn must_start_tls() -> Self {
        Self::new(530, status::SECURITY, "Must issue a STARTTLS command first")
    }

    /// STARTTLS where there is no certificate, or no place for another handshake.
    pub fn tls_not_available() -> Self {
        Self::new(454, status::SECURITY, "TLS not available due to local problem")
    }

    /// The client is who it says (RFC 4954 section 6).
    pub fn logged_in() -> Self {
        Self::new(235, status::SECURITY, "Authentication successful")
    }

    /// Whether the client is who it says can't be told now.
    pub fn auth_later() -> Self {
        Self::new(454, status::SECURITY, "Temporary authentication failure")
    }

    /// The client isn't who it says.
    pub fn auth_failed() -> Self {
        Self::new(535, status::BAD_CREDENTIALS, "Error: authentication failed")
    }

    /// MAIL where only those who logged in may send (RFC 6409 section 4.3).
    pub fn must_log_in() -> Self {
        Self::new(530, status::SECURITY, "Authentication required")
    }

    /// A command of a client that has not said who it is, where it must.
    pub fn must_greet() -> Self {
        Self::new(503, status::INVALID_COMMAND, "Error: send HELO/EHLO first")
    }

    /// DATA, or the end of the data, when no recipient was accepted.
    pub fn no_valid_recipients() -> Self {
        Self::new(554, status::INVALID_COMMAND, "Error: no valid recipients")
    }

    /// A path in RCPT or VRFY that is no address.
    pub fn bad_recipient_syntax() -> Self {
        Self::new(501, status::BAD_MAILBOX_SYNTAX, "Bad recipient address syntax")
    }

    /// There is no such address, and why.
    pub fn recipient_rejected(address: &crate::Address, why: &str) -> Self {
        let text = format!("<{address}>: Recipient address rejected: {why}");
        Self::new(550, status::BAD_MAILBOX, text)
    }

    /// Nobody has this address; `table` is Postfix's name for where it would stand.
    pub fn user_unknown(address: &crate::Address, table: Option<&str>) -> Self {
        match table {
            Some(table) => {
                Self::recipient_rejected(address, &format!("User unknown in {table} table"))
            }
            None => Self::recipient_rejected(address, "User unknown"),
        }
    }

    /// It can't be told now whether there is such an address.
    pub fn lookup_failure(address: &crate::Address) -> Self {
        Self::new(451, status::SYSTEM, format!("<{address}>: Temporary lookup failure"))
    }

    /// The best server for this destination is the one that asks.
    pub fn loops_back(destination: &str) -> Self {
        let text = format!("mail for {destination} loops back to myself");
        Self::new(554, status::ROUTING_LOOP, text)
    }

    /// A server that let go without saying what became of a recipient.
    pub fn no_outcome() -> Self {
        Self::new(451, status::SYSTEM, "the server gave no outcome")
    }
}
