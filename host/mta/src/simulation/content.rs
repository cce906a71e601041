//! A message in a dialogue: as much of it as was kept, in a form that JSON can carry.

use bytes::Bytes;
use facteur_policy::{Content, Unavailable};
use facteur_smtp::{Fields, HeaderSection, HeadersError, LineEnds, Missing, Passed, Reply};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much of a message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// Its size alone.
    Size,
    /// Its headers.
    Headers,
    /// All of it, up to 1 MiB.
    Whole,
}

/// The most of one message that a recording keeps: what plugins look at lies at its beginning.
const WHOLE: usize = 1 << 20;

/// The beginning of a message, and how long all of it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// In bytes.
    pub size: u64,
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    bytes: Vec<u8>,
}

impl Part {
    /// All of it, made of what a client would send as it would be stored. `add` writes the fields
    /// that are missing.
    ///
    /// # Errors
    /// It would be refused for its headers.
    pub fn received(
        sent: &[u8],
        add: impl Fn(Missing) -> Result<Bytes, Reply>,
    ) -> Result<Self, Reply> {
        let mut lines = LineEnds::default();
        let mended = [lines.mend(sent), lines.finish()].concat();
        let mut section = HeaderSection::default();
        let passed = section.pass(Bytes::from(mended)).map_err(HeadersError::reply)?;
        let mut bytes = Vec::with_capacity(sent.len());
        for Passed { head, missing, rest } in [passed, section.finish()] {
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&missing.map_or_else(|| Ok(Bytes::new()), &add)?);
            bytes.extend_from_slice(&rest);
        }
        Ok(Self { size: bytes.len() as u64, bytes })
    }

    /// How many servers it has passed.
    pub fn hops(&self) -> usize {
        Fields::new(&self.bytes).filter(|field| field.is("received")).count()
    }

    /// As much as shall be kept.
    ///
    /// # Errors
    /// It can't be read.
    pub fn of(content: &dyn Content, kept: Extent) -> Result<Self, Unavailable> {
        let bytes = match kept {
            Extent::Size => Vec::new(),
            Extent::Headers => content.headers()?,
            Extent::Whole => content.read(0, WHOLE)?,
        };
        Ok(Self { size: content.size(), bytes })
    }
}

impl Content for Part {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        let wanted = self.size.saturating_sub(offset).min(length as u64);
        let part = self.bytes.read(offset, length)?;
        if (part.len() as u64) < wanted {
            return Err(Unavailable(format!(
                "the recording has {} bytes of this message",
                self.bytes.len()
            )));
        }
        Ok(part)
    }

    /// Those that were kept.
    fn headers(&self) -> Result<Vec<u8>, Unavailable> {
        let end = Fields::new(&self.bytes).body().unwrap_or(self.bytes.len());
        Ok(self.bytes[..end].to_vec())
    }
}

/// A character for each byte (ISO 8859-1): mail is nearly all ASCII, so that this is short, and can
/// be read.
fn as_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bytes.iter().map(|&byte| char::from(byte)).collect::<String>())
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let byte = |character| {
        u8::try_from(u32::from(character)).map_err(|_| serde::de::Error::custom("no byte"))
    };
    text.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_added_where_headers_end() {
        let received = |sent: &str| {
            let add = |missing: Missing| {
                assert!(missing.date, "{sent:?}");
                Ok(Bytes::from_static(b"Date: now\r\n"))
            };
            String::from_utf8(Part::received(sent.as_bytes(), add).unwrap().bytes).unwrap()
        };
        assert_eq!(received("Subject: a\n\nb\n"), "Subject: a\r\nDate: now\r\n\r\nb\r\n");
        assert_eq!(received("Subject: a\n"), "Subject: a\r\nDate: now\r\n");
        assert_eq!(received("hello\n"), "Date: now\r\n\r\nhello\r\n");
    }
}
