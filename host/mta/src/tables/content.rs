//! What a table holds, whatever its format, and how it is asked.

use super::lines::Remarks;
use super::{aliases, cidr, index, regexp, texthash};
use crate::config::Format;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which of the keys it was, from 0.
    pub key: usize,
    /// The value.
    pub value: String,
}

/// What a table holds.
pub(super) enum Content {
    Index(index::Index),
    Regexp(regexp::Regexp),
    Cidr(cidr::Cidr),
}

impl Content {
    pub(super) fn parse(format: Format, bytes: &[u8]) -> (Self, Remarks) {
        let mut remarks = Remarks::default();
        let content = match format {
            Format::Texthash => Self::Index(texthash::parse(bytes, &mut remarks)),
            Format::Aliases => Self::Index(aliases::parse(bytes, &mut remarks)),
            Format::Regexp => Self::Regexp(regexp::Regexp::parse(bytes, &mut remarks)),
            Format::Cidr => Self::Cidr(cidr::Cidr::parse(bytes, &mut remarks)),
        };
        (content, remarks)
    }

    pub(super) fn inline(entries: &[(String, String)]) -> Self {
        let mut index = index::Index::new();
        for (key, value) in entries {
            // The configuration has each key once.
            index.insert(key, value);
        }
        Self::Index(index)
    }

    pub(super) fn find<K: AsRef<str>>(&self, keys: &[K]) -> Option<Found> {
        let first = keys.first()?.as_ref();
        match self {
            Self::Index(index) => keys.iter().enumerate().find_map(|(key, text)| {
                let value = index.get(&facteur_smtp::key(text.as_ref()))?;
                Some(Found { key, value: value.to_owned() })
            }),
            Self::Regexp(regexp) => regexp.find(first).map(|value| Found { key: 0, value }),
            Self::Cidr(cidr) => {
                cidr.find(first).map(|value| Found { key: 0, value: value.to_owned() })
            }
        }
    }

    /// Shows each key with its value; false where keys are patterns.
    pub(super) fn each(&self, show: &mut dyn FnMut(&str, &str)) -> bool {
        let Self::Index(index) = self else { return false };
        index.each().for_each(|(key, value)| show(key, value));
        true
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Index(index) => index.len(),
            Self::Regexp(regexp) => regexp.len(),
            Self::Cidr(cidr) => cidr.len(),
        }
    }
}
