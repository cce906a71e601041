//! The keywords that the answer to EHLO may hold (RFC 5321 section 4.1.1.1), and which of them a
//! listener leaves out.

use std::fmt;
use std::ops::BitOr;

/// An extension, by its keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// PIPELINING (RFC 2920).
    Pipelining,
    /// SIZE (RFC 1870).
    Size,
    /// LIMITS (RFC 9422).
    Limits,
    /// VRFY (RFC 5321 section 4.1.1.6).
    Vrfy,
    /// HELP (RFC 5321 section 4.1.1.8).
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth,
    /// XCLIENT, as Postfix has it.
    XClient,
    /// XFORWARD, as Postfix has it.
    XForward,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    EnhancedStatusCodes,
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// DSN (RFC 3461).
    Dsn,
    /// SMTPUTF8 (RFC 6531).
    SmtpUtf8,
    /// CHUNKING (RFC 3030).
    Chunking,
}

/// All of them, in the order in which they are offered.
const ALL: [Keyword; 14] = [
    Keyword::Pipelining,
    Keyword::Size,
    Keyword::Limits,
    Keyword::Vrfy,
    Keyword::Help,
    Keyword::StartTls,
    Keyword::Auth,
    Keyword::XClient,
    Keyword::XForward,
    Keyword::EnhancedStatusCodes,
    Keyword::EightBitMime,
    Keyword::Dsn,
    Keyword::SmtpUtf8,
    Keyword::Chunking,
];
/// The word of a list that is no keyword: what is left out isn't told in the log.
const SILENT: &str = "SILENT-DISCARD";
/// What Postfix can leave out, and nobody is offered here.
const NEVER_OFFERED: [&str; 2] = ["ETRN", "VERP"];

impl Keyword {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pipelining => "PIPELINING",
            Self::Size => "SIZE",
            Self::Limits => "LIMITS",
            Self::Vrfy => "VRFY",
            Self::Help => "HELP",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::XClient => "XCLIENT",
            Self::XForward => "XFORWARD",
            Self::EnhancedStatusCodes => "ENHANCEDSTATUSCODES",
            Self::EightBitMime => "8BITMIME",
            Self::Dsn => "DSN",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Chunking => "CHUNKING",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Keywords that a client isn't offered, though it could be (`smtpd_discard_ehlo_keywords`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    keywords: u16,
    /// The log says nothing of it (`silent-discard`).
    pub silent: bool,
}

impl Discarded {
    /// By one word: a keyword, or `silent-discard`. None: it is neither.
    pub fn word(word: &str) -> Option<Self> {
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        let keyword = ALL.into_iter().find(|keyword| is(keyword.as_str()));
        match keyword {
            Some(keyword) => Some(Self { keywords: keyword.bit(), silent: false }),
            None if is(SILENT) => Some(Self { keywords: 0, silent: true }),
            None => NEVER_OFFERED.into_iter().any(is).then(Self::default),
        }
    }

    /// By a list with commas or spaces between its words; those that aren't known say nothing, as
    /// in Postfix, whose next version may know more.
    pub fn list(text: &str) -> Self {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        words.filter_map(Self::word).fold(Self::default(), BitOr::bitor)
    }

    /// Whether it is left out.
    pub fn holds(self, keyword: Keyword) -> bool {
        self.keywords & keyword.bit() != 0
    }

    /// Whether none is.
    pub fn is_empty(self) -> bool {
        self.keywords == 0
    }
}

impl BitOr for Discarded {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { keywords: self.keywords | other.keywords, silent: self.silent || other.silent }
    }
}

impl fmt::Display for Discarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = ALL.into_iter().filter(|keyword| self.holds(*keyword));
        for (number, keyword) in held.enumerate() {
            write!(formatter, "{}{}", if number == 0 { "" } else { " " }, keyword.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_postfix_reads_them() {
        let list = Discarded::list("chunking, DSN\tsilent-discard etrn,, from-a-later-version");
        assert_eq!((list.to_string().as_str(), list.silent), ("DSN CHUNKING", true));
        assert!(list.holds(Keyword::Dsn) && !list.holds(Keyword::Size));
        assert!(Discarded::list("silent-discard, verp").is_empty());
        assert_eq!(Discarded::word("chunkin"), None);
        let every = ALL.map(Keyword::as_str).join(",");
        assert_eq!(Discarded::list(&every).to_string(), every.replace(',', " "));
    }
}
