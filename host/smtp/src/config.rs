//! What the server sessions of one listener share.

use crate::limits::ServerLimits;

/// What to do with a message that has a bare LF in its content by DATA or BDAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNewline {
    /// It ends a line and becomes CRLF.
    #[default]
    Normalize,
    /// The message is refused at its end.
    Reject,
}

/// Whether a session that begins in the clear may, or must, change to TLS by STARTTLS (RFC 3207).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartTls {
    /// STARTTLS isn't offered.
    #[default]
    No,
    /// It is offered (`smtpd_tls_security_level = may`).
    Offered,
    /// It is offered, and nothing that concerns mail is done before (`… = encrypt`).
    Required,
}

/// What the sessions of a listener share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's own name.
    pub hostname: String,
    /// Limits.
    pub limits: ServerLimits,
    /// Bare LF in content.
    pub bare_newline: BareNewline,
    /// STARTTLS.
    pub start_tls: StartTls,
}
