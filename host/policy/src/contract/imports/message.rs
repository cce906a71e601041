//! `message`: what a plugin sees of the content.

use wasmtime::Result;

use super::Answer;
use crate::contract::context::Context;
use crate::message::decode;

/// The most bytes of one `read`.
const READ_LIMIT: usize = 64 * 1024;
/// The most headers of one `headers`.
const HEADERS_AT_ONCE: usize = 64;

pub(crate) fn size(context: &Context) -> Result<u64> {
    Ok(context.message("message.size")?.content.size())
}

pub(crate) fn body_offset(context: &Context) -> Result<u64> {
    Ok(context.message("message.body-offset")?.index()?.body())
}

pub(crate) fn read(context: &Context, offset: u64, length: u32) -> Result<Answer<Vec<u8>>> {
    let content = &context.message("message.read")?.content;
    Ok(content.read(offset, READ_LIMIT.min(length as usize)).map_err(Into::into))
}

pub(crate) fn header(context: &Context, name: String) -> Result<Vec<Vec<u8>>> {
    let index = context.message("message.header")?.index()?;
    let values = index.named(&name).filter_map(|number| index.get(number));
    Ok(values.map(|(_, value)| value.to_vec()).collect())
}

pub(crate) fn header_text(context: &Context, name: String) -> Result<Vec<String>> {
    let index = context.message("message.header-text")?.index()?;
    let values = index.named(&name).filter_map(|number| index.get(number));
    Ok(values.map(|(_, value)| decode(value)).collect())
}

pub(crate) fn headers(context: &Context, from_index: u32) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let index = context.message("message.headers")?.index()?;
    let some = index.iter().skip(from_index as usize).take(HEADERS_AT_ONCE);
    Ok(some.map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}
