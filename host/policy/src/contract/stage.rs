//! The stages of a session at which restrictions are asked.

use super::bindings::restriction::exports::facteur::policy::restriction::Stages;

/// Where in a session a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connect,
    Helo,
    Mail,
    /// The recipient's number.
    Rcpt(u32),
    Data,
    EndOfData,
}

impl Stage {
    /// The same in the contract.
    pub(crate) fn flag(self) -> Stages {
        match self {
            Self::Connect => Stages::CONNECT,
            Self::Helo => Stages::HELO,
            Self::Mail => Stages::MAIL,
            Self::Rcpt(_) => Stages::RCPT,
            Self::Data => Stages::DATA,
            Self::EndOfData => Stages::END_OF_DATA,
        }
    }

    /// Their names, in the order of a session.
    pub(crate) const NAMES: [(&str, Stages); 6] = [
        ("connect", Stages::CONNECT),
        ("helo", Stages::HELO),
        ("mail", Stages::MAIL),
        ("rcpt", Stages::RCPT),
        ("data", Stages::DATA),
        ("end-of-data", Stages::END_OF_DATA),
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Mail => "mail",
            Self::Rcpt(_) => "rcpt",
            Self::Data => "data",
            Self::EndOfData => "end-of-data",
        }
    }
}
