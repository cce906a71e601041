//! A message in a dialogue: as much of it as was kept, in a form that JSON can carry.

use facteur_policy::{Content, HEADER_LIMIT, Unavailable};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much of a message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
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
    /// All of it.
    pub fn whole(bytes: Vec<u8>) -> Self {
        Self { size: bytes.len() as u64, bytes }
    }

    /// As much as shall be kept.
    ///
    /// # Errors
    /// It can't be read.
    pub fn of(content: &dyn Content, kept: Kept) -> Result<Self, Unavailable> {
        let mut bytes = match kept {
            Kept::Size => Vec::new(),
            Kept::Headers => content.read(0, HEADER_LIMIT)?,
            Kept::Whole => content.read(0, WHOLE)?,
        };
        if kept == Kept::Headers
            && let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n")
        {
            bytes.truncate(end + 4);
        }
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
        let headers = offset == 0 && length == HEADER_LIMIT;
        if (part.len() as u64) < wanted && !headers {
            return Err(Unavailable(format!(
                "the recording has {} bytes of this message",
                self.bytes.len()
            )));
        }
        Ok(part)
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
