//! Enhanced status codes (RFC 3463, RFC 5248): `class.subject.detail`.
//!
//! What a status is about has a name here, without its class: that follows from the code of the
//! reply ([`Reply::new`](crate::Reply::new)), so that no reply can have a status of another class,
//! or one that isn't a status. The names are those of IANA's registry, shortened.

use std::fmt;
use std::str::FromStr;

/// The largest subject and detail.
const MAX_NUMBER: u16 = 999;

/// An enhanced status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2 success, 4 transient, 5 permanent.
    pub class: u8,
    /// What it is about.
    pub detail: Detail,
}

/// The subject and the detail of a status: X.1.1 of 5.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Detail {
    subject: u16,
    detail: u16,
}

impl Detail {
    /// `X.subject.detail`; more than 999 of either doesn't compile in a constant.
    const fn new(subject: u16, detail: u16) -> Self {
        assert!(subject <= MAX_NUMBER && detail <= MAX_NUMBER);
        Self { subject, detail }
    }

    /// The status of a reply with this code; 1yz and 3yz have none.
    pub(crate) fn of(self, code: u16) -> Option<EnhancedStatus> {
        let class = match code {
            200..=299 => 2,
            400..=499 => 4,
            500..=599 => 5,
            _ => return None,
        };
        Some(EnhancedStatus { class, detail: self })
    }
}

macro_rules! details {
    ($($name:ident = $subject:literal $detail:literal, $doc:literal;)+) => {
        $(
            #[doc = concat!("X.", $subject, ".", $detail, ": ", $doc, ".")]
            pub const $name: Detail = Detail::new($subject, $detail);
        )+
    };
}

details! {
    UNDEFINED = 0 0, "other or undefined";
    ADDRESS = 1 0, "other address status";
    BAD_MAILBOX = 1 1, "bad destination mailbox address";
    BAD_SYSTEM = 1 2, "bad destination system address";
    BAD_MAILBOX_SYNTAX = 1 3, "bad destination mailbox address syntax";
    MAILBOX_VALID = 1 5, "destination mailbox address valid";
    BAD_SENDER_SYNTAX = 1 7, "bad sender's mailbox address syntax";
    BAD_SENDER_SYSTEM = 1 8, "bad sender's system address";
    NULL_MX = 1 10, "recipient address has null MX (RFC 7505)";
    MAILBOX = 2 0, "other mailbox status";
    MAILBOX_FULL = 2 2, "mailbox full";
    SYSTEM = 3 0, "other mail system status";
    SYSTEM_FULL = 3 1, "mail system full";
    NOT_ACCEPTING = 3 2, "system not accepting messages";
    TOO_BIG = 3 4, "message too big for system";
    MISCONFIGURED = 3 5, "system incorrectly configured";
    NETWORK = 4 0, "other network or routing status";
    NO_ANSWER = 4 1, "no answer from host";
    BAD_CONNECTION = 4 2, "bad connection";
    DIRECTORY_FAILURE = 4 3, "directory server failure";
    NO_ROUTE = 4 4, "unable to route";
    ROUTING_LOOP = 4 6, "routing loop detected";
    EXPIRED = 4 7, "delivery time expired";
    PROTOCOL = 5 0, "other protocol status";
    INVALID_COMMAND = 5 1, "invalid command";
    SYNTAX = 5 2, "syntax error";
    TOO_MANY_RECIPIENTS = 5 3, "too many recipients";
    INVALID_ARGUMENTS = 5 4, "invalid command arguments";
    AUTH_LINE_TOO_LONG = 5 6, "authentication exchange line too long (RFC 4954)";
    NO_UTF8 = 6 7, "non-ASCII addresses not permitted (RFC 6531)";
    SECURITY = 7 0, "other security status";
    NOT_AUTHORIZED = 7 1, "delivery not authorized";
    SECURITY_LACKS = 7 4, "security features not supported";
    CRYPTOGRAPHY = 7 5, "cryptographic failure";
    BAD_CREDENTIALS = 7 8, "authentication credentials invalid (RFC 4954)";
    NEEDS_ENCRYPTION = 7 11, "encryption required for the mechanism (RFC 4954)";
}

/// The text is no enhanced status code such as `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an enhanced status code looks like 5.1.1: a class 2, 4 or 5, and two numbers up to 999")]
pub struct EnhancedStatusError;

impl FromStr for EnhancedStatus {
    type Err = EnhancedStatusError;

    fn from_str(text: &str) -> Result<Self, EnhancedStatusError> {
        let number = |part: Option<&str>| {
            part.filter(|part| {
                (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
            })
            .and_then(|part| part.parse().ok())
            .ok_or(EnhancedStatusError)
        };
        let mut parts = text.split('.');
        let class = match parts.next() {
            Some("2") => 2,
            Some("4") => 4,
            Some("5") => 5,
            _ => return Err(EnhancedStatusError),
        };
        let detail = Detail { subject: number(parts.next())?, detail: number(parts.next())? };
        if parts.next().is_some() {
            return Err(EnhancedStatusError);
        }
        Ok(Self { class, detail })
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.class, self.detail.subject, self.detail.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::{Detail, EnhancedStatus, NULL_MX};

    #[test]
    fn a_status_is_read_and_written() {
        let status = EnhancedStatus { class: 5, detail: NULL_MX };
        assert_eq!("5.1.10".parse(), Ok(status));
        assert_eq!(status.to_string(), "5.1.10");
        for text in ["", "5", "5.1", "3.1.1", "5.1.1.1", "5.1000.1", "5.-1.1", "5.1."] {
            assert!(text.parse::<EnhancedStatus>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_class_follows_from_the_code() {
        let status = |code| Detail::new(1, 1).of(code).map(|status| status.to_string());
        assert_eq!(status(250).as_deref(), Some("2.1.1"));
        assert_eq!(status(450).as_deref(), Some("4.1.1"));
        assert_eq!(status(550).as_deref(), Some("5.1.1"));
        assert_eq!(status(354), None);
    }
}
