//! Where the headers of a message are.
//!
//! What a header is, and where they end, is [`facteur_smtp::Fields`]' rule.

use std::ops::Range;

use facteur_smtp::Fields;

/// Headers: the bytes, and where each stands in them.
#[derive(Debug)]
pub(crate) struct Index {
    bytes: Vec<u8>,
    headers: Vec<Header>,
    end: usize,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    start: usize,
    name_end: usize,
    value: usize,
    value_end: usize,
    end: usize,
}

impl Index {
    /// Of the headers of a message, with the empty line that ends them.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let header = |field: facteur_smtp::Field<'_>| Header {
            start: field.start,
            name_end: field.start + field.name.len(),
            value: field.colon + 1,
            value_end: field.colon + 1 + field.value.len(),
            end: field.end,
        };
        let headers: Vec<Header> = Fields::new(&bytes).map(header).collect();
        let end = headers.last().map_or(0, |last| last.end);
        Self { bytes, headers, end }
    }

    /// Where the headers end: at the empty line, or at the body where there is none.
    pub(crate) fn end(&self) -> u64 {
        self.end as u64
    }

    /// Where the body begins.
    pub(crate) fn body(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where each header stands, its line end included.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.headers.iter().map(|header| header.start as u64..header.end as u64)
    }

    /// The numbers of the headers of this name, in any case.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        let is_named = move |(number, (known, _)): (usize, (&[u8], &[u8]))| {
            known.eq_ignore_ascii_case(name.as_bytes()).then_some(number)
        };
        self.iter().enumerate().filter_map(is_named)
    }

    /// Name and value of the header with this number.
    pub(crate) fn get(&self, number: usize) -> Option<(&[u8], &[u8])> {
        let header = self.headers.get(number)?;
        let name = &self.bytes[header.start..header.name_end];
        let value = &self.bytes[header.value..header.value_end];
        Some((name, value.strip_prefix(b" ").unwrap_or(value)))
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.headers.len()).filter_map(|number| self.get(number))
    }
}
