//! Replies as Postfix words them: `<name>: Sender address rejected: why`.

use facteur_plugin::{Reply, Verdict, status};

/// What a refusal is about: the stage's own subject, or that of an access table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Client,
    Ccert,
    Sasl,
    Helo,
    Sender,
    Recipient,
    Data,
    EndOfData,
}

impl What {
    /// Postfix's word for it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Client => "Client host",
            Self::Ccert => "Client certificate",
            Self::Sasl => "SASL login name",
            Self::Helo => "Helo command",
            Self::Sender => "Sender address",
            Self::Recipient => "Recipient address",
            Self::Data => "Data command",
            Self::EndOfData => "End-of-data",
        }
    }
}

/// A reply. The class of the status follows from the code.
pub fn reply(code: u16, enhanced: &str, text: impl Into<String>) -> Reply {
    Reply::new(code, status::in_class(enhanced, code), text)
}

/// What Postfix says when its own settings or tables are at fault.
pub fn server_error() -> Reply {
    reply(451, "4.3.5", "Server configuration error")
}

/// The verdict of a refusal: 421 and 521 end the session, as from Postfix.
pub fn refusal(reply: Reply) -> Verdict {
    match reply.code {
        421 | 521 => Verdict::Disconnect(reply),
        400..=499 => Verdict::Defer(reply),
        _ => Verdict::Reject(reply),
    }
}

/// The status code of an access table, which may be read for any subject: an address status (x.1.x)
/// is turned into that of a sender, of a recipient, or of neither.
pub fn fitting_status(status: &str, what: What) -> &str {
    let Some(detail) = status.split_once('.').and_then(|(_, rest)| rest.strip_prefix("1.")) else {
        return status;
    };
    match (what, detail) {
        (What::Sender, "2" | "8") => "4.1.8",
        (What::Sender, "1" | "3" | "7") => "4.1.7",
        (What::Recipient, "1") => "4.1.1",
        (What::Recipient, "2" | "8") => "4.1.2",
        (What::Recipient, "3" | "7") => "4.1.3",
        (What::Recipient, "4") => "4.1.4",
        (What::Recipient, "5") => "4.1.5",
        (What::Recipient, "6") => "4.1.6",
        (What::Sender | What::Recipient, _) => "4.1.0",
        _ => "4.0.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_of_one_class() {
        assert_eq!(reply(554, "4.7.1", "no"), Reply::new(554, "5.7.1", "no"));
    }

    #[test]
    fn an_address_status_fits_its_subject() {
        assert_eq!(fitting_status("5.1.1", What::Sender), "4.1.7");
        assert_eq!(fitting_status("5.1.6", What::Sender), "4.1.0");
        assert_eq!(fitting_status("5.1.8", What::Recipient), "4.1.2");
        assert_eq!(fitting_status("5.1.1", What::Client), "4.0.0");
        assert_eq!(fitting_status("5.7.1", What::Client), "5.7.1");
        assert_eq!(fitting_status("5.1.1", What::Recipient), "4.1.1");
    }
}
