//! The message's content: in `on_end_of_data` and `on_content`. It stays in the host; a plugin
//! pulls what it needs. All numbers are bytes, and mean the message as it was handed over.

use crate::Error;
use crate::host::message as host;

/// As it will be stored: lines end in CRLF, without dot-stuffing.
pub fn size() -> u64 {
    host::size()
}

/// Where the body begins: just after the empty line that ends the headers.
pub fn body_offset() -> u64 {
    host::body_offset()
}

/// At most 65,536 bytes a call; fewer only at the end; nothing past it.
///
/// # Errors
/// [`Error::Unavailable`]: the disk failed.
pub fn read(offset: u64, length: u32) -> Result<Vec<u8>, Error> {
    host::read(offset, length)
}

/// The values of all headers of this name (in any case), in order, as they came: bytes, folded.
pub fn header(name: &str) -> Vec<Vec<u8>> {
    host::header(name)
}

/// The same as text: unfolded, with encoded words (RFC 2047) decoded.
pub fn header_text(name: &str) -> Vec<String> {
    host::header_text(name)
}

/// Up to 64 headers, from this number on, counted from 0: name and value. Fewer only at the end.
pub fn headers(from_index: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    host::headers(from_index)
}

/// All headers, in order: name and value. A page of them is in memory at a time.
pub fn all_headers() -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut read = 0;
    let pages = std::iter::from_fn(move || {
        let page = headers(read);
        read = read.saturating_add(u32::try_from(page.len()).unwrap_or(u32::MAX));
        (!page.is_empty()).then_some(page)
    });
    pages.flatten()
}
