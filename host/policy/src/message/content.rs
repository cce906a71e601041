//! The bytes of a message, or of a part of it, wherever they are.

use facteur_smtp::Fields;

use crate::unavailable::Unavailable;

/// How much of a message is read at first to find its headers, in bytes: most have less.
const HEADERS_READ: usize = 8 * 1024;

/// The bytes of a message: lines end in CRLF, no dot-stuffing.
pub trait Content: Send + Sync + 'static {
    /// In bytes.
    fn size(&self) -> u64;
    /// At most `length` bytes from `offset`; fewer only at the end.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable>;
    /// The headers and the empty line that ends them; all of a message that has no body. As many as
    /// there are: whoever takes a message in bounds them ([`facteur_smtp::HeaderSection`]).
    fn headers(&self) -> Result<Vec<u8>, Unavailable> {
        let mut length = HEADERS_READ;
        loop {
            let mut bytes = self.read(0, length)?;
            let end = Fields::new(&bytes).body();
            if end.is_some() || bytes.len() < length {
                bytes.truncate(end.unwrap_or(bytes.len()));
                return Ok(bytes);
            }
            length = length.saturating_mul(4);
        }
    }
}

impl Content for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let end = start.saturating_add(length).min(self.len());
        Ok(self[start..end].to_vec())
    }
}
