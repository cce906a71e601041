//! What the server machine tells its host.

use bytes::Bytes;

use crate::auth::{self, Secret};
use crate::parameters::{MailParameters, RcptParameters};
use crate::path::Path;
use crate::reply::Reply;
use crate::status;
use crate::xclient::{XClient, XForward};

/// Something the host must know. While an event owes a reply the machine gives no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// HELO or EHLO. Owes a reply; a positive one is written by the machine, with its keywords.
    Hello {
        /// EHLO.
        esmtp: bool,
        /// What the client calls itself, unverified, in ASCII: U-labels came as A-labels, and
        /// characters that would break a Received: header are `?`.
        name: String,
    },
    /// MAIL. Owes a reply; a positive one opens the transaction.
    Mail {
        /// The reverse path; None: `<>`.
        sender: Option<Path>,
        /// Its parameters.
        parameters: MailParameters,
    },
    /// RCPT. Owes a reply; a positive one makes it a recipient.
    Rcpt {
        /// The forward path.
        path: Path,
        /// Its parameters.
        parameters: RcptParameters,
    },
    /// DATA or the first BDAT, with at least one recipient. Owes a reply: 354, or a refusal.
    Data,
    /// Content as it will be stored: CRLF line ends only, dots unstuffed. Any number of these, of
    /// any size but none.
    Body(Bytes),
    /// The content ends. Owes the message's reply. An error says that the message can't be taken
    /// and the content given was not all: answer with its `reply()`. Whatever the answer, the
    /// transaction is over.
    EndOfData(Result<(), DataError>),
    /// The transaction, if one is open, is over without a message: RSET; HELO, EHLO or STARTTLS
    /// inside it; or a failed BDAT LAST.
    Reset,
    /// VRFY, with its argument as it came. Owes a reply.
    Vrfy(String),
    /// STARTTLS (RFC 3207). Owes a reply: 220, after which the machine waits for
    /// [`Server::secured`](crate::Server::secured); or 454, and the session goes on in the clear.
    StartTls,
    /// AUTH (RFC 4954), by a mechanism that is offered. Owes a reply: 235 logs the client in, and
    /// another ends the exchange; or a [`challenge`](crate::Server::challenge).
    Auth {
        /// The mechanism, in upper case.
        mechanism: String,
        /// What came with the command.
        initial: Option<Secret>,
    },
    /// The answer to a challenge. Owes the same.
    AuthResponse(Secret),
    /// The client ended the exchange, or said what is no answer; it has been told. The error says
    /// why.
    AuthAborted(AuthError),
    /// XCLIENT, from a client that may say it. Owes
    /// [`Server::start_over`](crate::Server::start_over) and then a greeting; or a refusal, and
    /// nothing has changed.
    XClient(XClient),
    /// XFORWARD, from a client that may say it; it has been told. It is about the next transaction.
    XForward(XForward),
    /// QUIT, or a command that no mail client sends. The session is over when the output is
    /// written.
    Quit,
}

impl Event {
    /// The reply, in Postfix's words, of a host that has nothing against it; None where none is
    /// owed.
    pub fn acceptance(&self) -> Option<Reply> {
        Some(match self {
            Self::Hello { .. } => Reply::plain(250, ""),
            Self::Mail { .. } => Reply::new(250, status::ADDRESS, "Ok"),
            Self::Rcpt { .. } => Reply::new(250, status::MAILBOX_VALID, "Ok"),
            Self::Data => Reply::plain(354, "End data with <CR><LF>.<CR><LF>"),
            Self::EndOfData(Ok(())) => Reply::ok(),
            Self::EndOfData(Err(error)) => error.reply(),
            Self::Vrfy(address) => Reply::new(252, status::UNDEFINED, address.as_str()),
            Self::StartTls => Reply::new(220, status::UNDEFINED, "Ready to start TLS"),
            Self::Auth { .. } | Self::AuthResponse(_) => Reply::logged_in(),
            Self::XClient(_)
            | Self::XForward(_)
            | Self::AuthAborted(_)
            | Self::Body(_)
            | Self::Reset
            | Self::Quit => return None,
        })
    }
}

/// Why an exchange of AUTH ended before its mechanism did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// `*`.
    #[error("the client gave up")]
    Cancelled,
    /// An answer that isn't base64.
    #[error("an answer is no base64")]
    NotBase64,
    /// An answer over the limit.
    #[error("an answer is too long")]
    TooLong,
}

impl AuthError {
    /// What the client hears (RFC 4954 sections 4 and 6).
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Cancelled => Reply::new(501, status::SECURITY, "Authentication aborted"),
            Self::NotBase64 => auth::not_base64(),
            Self::TooLong => {
                Reply::new(500, status::AUTH_LINE_TOO_LONG, "SASL response limit exceeded")
            }
        }
    }
}

/// Why a message can't be taken, known at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The content is over the message size limit.
    #[error("the message is larger than the message size limit")]
    TooLarge,
    /// A line ended in a bare LF and the listener says `reject`.
    #[error("the message holds a line that ends in a bare LF")]
    BareNewline,
}

impl DataError {
    /// The final reply, as Postfix's.
    pub fn reply(self) -> Reply {
        match self {
            Self::TooLarge => Reply::new(552, status::TOO_BIG, "Error: message file too big"),
            Self::BareNewline => Reply::new(550, status::SYNTAX, "Error: bare <LF> received"),
        }
    }
}
