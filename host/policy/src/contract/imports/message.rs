//! `message`: what a plugin sees of the content.

use wasmtime::Result;

use super::Answer;
use crate::contract::bindings::facteur::policy::message;
use crate::contract::context::Context;
use crate::message::decode;

/// The most bytes of one `read`.
const READ_LIMIT: usize = 64 * 1024;
/// The most headers of one `headers`.
const HEADERS_AT_ONCE: usize = 64;

impl message::Host for Context {
    fn size(&mut self) -> Result<u64> {
        Ok(self.message("message.size")?.content.size())
    }

    fn body_offset(&mut self) -> Result<u64> {
        Ok(self.message("message.body-offset")?.index()?.body())
    }

    fn read(&mut self, offset: u64, length: u32) -> Result<Answer<Vec<u8>>> {
        let content = &self.message("message.read")?.content;
        Ok(content.read(offset, READ_LIMIT.min(length as usize)).map_err(Into::into))
    }

    fn header(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        let index = self.message("message.header")?.index()?;
        let values = index.named(&name).filter_map(|number| index.get(number));
        Ok(values.map(|(_, value)| value.to_vec()).collect())
    }

    fn header_text(&mut self, name: String) -> Result<Vec<String>> {
        let index = self.message("message.header-text")?.index()?;
        let values = index.named(&name).filter_map(|number| index.get(number));
        Ok(values.map(|(_, value)| decode(value)).collect())
    }

    fn headers(&mut self, from_index: u32) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let index = self.message("message.headers")?.index()?;
        let some = index.iter().skip(from_index as usize).take(HEADERS_AT_ONCE);
        Ok(some.map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
    }
}
