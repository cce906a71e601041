//! What a listener offers to one client.

use crate::keyword::Discarded;
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

/// What a listener offers to a client, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's own name.
    pub hostname: String,
    /// Limits.
    pub limits: ServerLimits,
    /// Bare LF in content.
    pub bare_newline: BareNewline,
    /// MAIL waits for HELO or EHLO (`smtpd_helo_required`).
    pub helo_required: bool,
    /// STARTTLS.
    pub start_tls: StartTls,
    /// What isn't offered, though it could be. Parameters that belong to it are then refused, and
    /// commands too, where Postfix refuses them.
    pub discarded: Discarded,
    /// VRFY is refused (`disable_vrfy_command`).
    pub disable_vrfy: bool,
    /// The client may say by XCLIENT whom it speaks for (`smtpd_authorized_xclient_hosts`).
    pub xclient: bool,
    /// The client may say by XFORWARD where a message came from
    /// (`smtpd_authorized_xforward_hosts`).
    pub xforward: bool,
}
