//! Calls and replies in words, for a person who asks what a verdict depended on.

use super::bindings::facteur::policy::{counters, dns, log, lookup, types, verify};
use super::text::{LOG_TEXT, line};

/// In words; one line.
pub(super) trait Words {
    fn words(&self) -> String;
}

impl Words for () {
    fn words(&self) -> String {
        "done".to_owned()
    }
}

impl Words for String {
    fn words(&self) -> String {
        line(self, LOG_TEXT)
    }
}

impl Words for bool {
    fn words(&self) -> String {
        self.to_string()
    }
}

impl Words for u32 {
    fn words(&self) -> String {
        self.to_string()
    }
}

impl Words for u64 {
    fn words(&self) -> String {
        self.to_string()
    }
}

/// Bytes, as text.
impl Words for Vec<u8> {
    fn words(&self) -> String {
        String::from_utf8_lossy(self).into_owned().words()
    }
}

/// Declares the lists: a list of bytes is none.
macro_rules! lists {
    ($($member:ty),*) => {
        $(impl Words for Vec<$member> {
            fn words(&self) -> String {
                let all: Vec<String> = self.iter().map(Words::words).collect();
                format!("[{}]", all.join(", "))
            }
        })*
    };
}

lists!(String, Vec<u8>, types::MailAddress, dns::MailExchanger);

impl<T: Words> Words for Option<T> {
    fn words(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Words::words)
    }
}

impl<T: Words, E: Words> Words for Result<T, E> {
    fn words(&self) -> String {
        match self {
            Ok(answer) => answer.words(),
            Err(error) => error.words(),
        }
    }
}

impl Words for types::Error {
    fn words(&self) -> String {
        match self {
            Self::NotGranted(text) => format!("not granted: {}", text.words()),
            Self::UnknownName(text) => format!("unknown: {}", text.words()),
            Self::NotFound => "not found".to_owned(),
            Self::Invalid(text) => format!("invalid: {}", text.words()),
            Self::Limit(text) => format!("limit: {}", text.words()),
            Self::Unavailable(text) => format!("unavailable: {}", text.words()),
            Self::Timeout => "timeout".to_owned(),
            Self::TooLarge => "too large".to_owned(),
        }
    }
}

impl Words for types::Failure {
    fn words(&self) -> String {
        format!("failure: {}", self.reason.words())
    }
}

impl Words for types::MailAddress {
    fn words(&self) -> String {
        format!("{}@{}", self.local, self.domain).words()
    }
}

impl Words for types::RecipientClass {
    fn words(&self) -> String {
        match self {
            Self::Local => "local",
            Self::VirtualAlias => "virtual-alias",
            Self::VirtualMailbox => "virtual-mailbox",
            Self::Relay => "relay",
            Self::Other => "other",
        }
        .to_owned()
    }
}

impl Words for types::Reply {
    fn words(&self) -> String {
        let status = self.status.as_deref().map(|status| format!(" {status}")).unwrap_or_default();
        format!("{}{status} {}", self.code, self.text).words()
    }
}

impl Words for lookup::Entry {
    fn words(&self) -> String {
        self.value.words()
    }
}

impl Words for lookup::Found {
    fn words(&self) -> String {
        format!("{} (key {})", self.value.words(), self.key)
    }
}

impl Words for lookup::Manner {
    fn words(&self) -> String {
        match self {
            Self::Access => "access",
            Self::Address => "address",
            Self::Alias => "alias",
            Self::Transport => "transport",
            Self::Domain => "domain",
        }
        .to_owned()
    }
}

impl Words for log::Level {
    fn words(&self) -> String {
        format!("{self:?}")
    }
}

impl Words for dns::MailExchanger {
    fn words(&self) -> String {
        format!("{} {}", self.preference, self.host.words())
    }
}

impl Words for counters::Lifetime {
    fn words(&self) -> String {
        let (Self::FromBeginning(time) | Self::FromNow(time)) = self;
        format!("{time} ms")
    }
}

impl Words for counters::Bucket {
    fn words(&self) -> String {
        format!("{} in {} ms", self.size, self.period)
    }
}

impl Words for counters::Counter {
    fn words(&self) -> String {
        format!("{} (since {} ms, for {} ms)", self.value, self.age, self.left)
    }
}

impl Words for counters::Taken {
    fn words(&self) -> String {
        match self {
            Self::Yes => "yes".to_owned(),
            Self::Wait(time) => format!("wait {time} ms"),
            Self::Never => "never".to_owned(),
        }
    }
}

impl Words for verify::Outcome {
    fn words(&self) -> String {
        match self {
            Self::Deliverable => "deliverable".to_owned(),
            Self::Undeliverable(reply) => format!("undeliverable: {}", reply.words()),
            Self::Unknown(why) => format!("unknown: {}", why.words()),
        }
    }
}
