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

/// What the sessions of a listener share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's own name.
    pub hostname: String,
    /// Limits.
    pub limits: ServerLimits,
    /// Bare LF in content.
    pub bare_newline: BareNewline,
}
