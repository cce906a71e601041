//! The mail transaction of a server session (RFC 5321 3.3), from MAIL to the reply at the end of
//! data.
//!
//! Keeps only what decides which command may come next; envelope and content are the host's.

use crate::bdat::Chunking;
use crate::reply::Reply;
use crate::status;

/// The mail transaction so far.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// MAIL was accepted.
    pub(crate) open: bool,
    /// MAIL said SMTPUTF8.
    pub(crate) utf8: bool,
    /// Recipients accepted.
    pub(crate) recipients: usize,
    /// Recipients over the limit.
    pub(crate) overshoot: usize,
    /// Octets of content so far.
    pub(crate) size: u64,
    /// How far a message by BDAT is.
    pub(crate) chunking: Chunking,
}

impl Transaction {
    pub(crate) fn in_chunks(&self) -> bool {
        self.chunking != Chunking::None
    }

    /// Whether content may come now.
    pub(crate) fn check_recipients(&self) -> Result<(), Reply> {
        if self.recipients > 0 {
            Ok(())
        } else if self.open {
            Err(Reply::no_valid_recipients())
        } else {
            Err(Reply::new(503, status::INVALID_COMMAND, "Error: need RCPT command"))
        }
    }
}
