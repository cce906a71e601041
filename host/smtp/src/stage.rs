//! Where in the dialogue a client is.

use std::fmt;

/// What the machine waits for: to choose a timeout (RFC 5321 4.5.3.2) and to say where a connection
/// was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStage {
    /// The greeting; 5 minutes.
    Greeting,
    /// The answer to EHLO or HELO; 5 minutes.
    Hello,
    /// The answer to STARTTLS.
    StartTls,
    /// The host, to negotiate TLS.
    Handshake,
    /// The answer to AUTH, or to what was said after it; 5 minutes.
    Auth,
    /// Nothing: the host may start a message.
    Ready,
    /// The answer to RSET.
    Reset,
    /// The answer to MAIL; 5 minutes.
    Mail,
    /// The answer to RCPT; 5 minutes.
    Rcpt,
    /// The answer to DATA; 2 minutes.
    Data,
    /// The host, to give content; 3 minutes for each write.
    Body,
    /// The answer to the end of data; 10 minutes.
    EndOfData,
    /// The answer to QUIT.
    Quit,
    /// Nothing: the connection is over.
    Closed,
}

impl fmt::Display for ClientStage {
    /// As in Postfix's `lost connection with X while …`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Greeting => "receiving the initial server greeting",
            Self::Hello => "performing the EHLO handshake",
            Self::StartTls => "sending STARTTLS",
            Self::Handshake => "performing the TLS handshake",
            Self::Auth => "logging in",
            Self::Ready => "waiting for a message",
            Self::Reset => "sending RSET",
            Self::Mail => "sending MAIL FROM",
            Self::Rcpt => "sending RCPT TO",
            Self::Data => "sending DATA command",
            Self::Body => "sending message body",
            Self::EndOfData => "sending end of data -- message may be sent more than once",
            Self::Quit => "sending QUIT",
            Self::Closed => "closed",
        })
    }
}
