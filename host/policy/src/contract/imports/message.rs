//! `message`: what a plugin sees of the content, and how it edits it.

use wasmtime::component::Resource;
use wasmtime::{Error, Result, bail};

use crate::contract::bindings::MessageHandle;
use crate::contract::bindings::facteur::policy::message;
use crate::contract::context::{Context, Scope};
use crate::message::{Draft, Index};

/// The most bytes of one `read`, and of one chunk of a new body.
const READ_LIMIT: usize = 64 * 1024;
/// The most headers of one `headers`.
const HEADERS_AT_ONCE: usize = 64;

impl Context {
    fn draft(&mut self) -> Result<&mut Draft> {
        self.draft.as_mut().ok_or_else(|| Error::msg("an edit outside of content.inspect"))
    }

    /// The edits so far, and the headers as the plugin sees them.
    fn draft_and_index(&mut self) -> Result<(&mut Draft, &Index)> {
        match (&mut self.draft, &self.scope) {
            (Some(draft), Scope::Transaction(.., Some(message))) => Ok((draft, message.index()?)),
            _ => bail!("an edit outside of content.inspect"),
        }
    }
}

impl message::Host for Context {}

impl message::HostMessage for Context {
    fn size(&mut self, _: Resource<MessageHandle>) -> Result<u64> {
        Ok(self.message()?.content.size())
    }

    fn body_offset(&mut self, _: Resource<MessageHandle>) -> Result<u64> {
        Ok(self.message()?.index()?.body())
    }

    fn read(&mut self, _: Resource<MessageHandle>, offset: u64, length: u32) -> Result<Vec<u8>> {
        Ok(self.message()?.content.read(offset, READ_LIMIT.min(length as usize))?)
    }

    fn header(&mut self, _: Resource<MessageHandle>, name: String) -> Result<Vec<Vec<u8>>> {
        let index = self.message()?.index()?;
        let values = index.named(&name).filter_map(|number| index.get(number));
        Ok(values.map(|(_, value)| value.to_vec()).collect())
    }

    fn headers(
        &mut self,
        _: Resource<MessageHandle>,
        from_index: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let index = self.message()?.index()?;
        let some = index.iter().skip(from_index as usize).take(HEADERS_AT_ONCE);
        Ok(some.map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
    }

    fn add_header(
        &mut self,
        _: Resource<MessageHandle>,
        name: String,
        value: String,
    ) -> Result<()> {
        self.draft()?.add(&name, &value).map_err(Error::msg)
    }

    fn insert_header(
        &mut self,
        _: Resource<MessageHandle>,
        index: u32,
        name: String,
        value: String,
    ) -> Result<()> {
        let (draft, headers) = self.draft_and_index()?;
        draft.insert(headers, index, &name, &value).map_err(Error::msg)
    }

    fn replace_header(
        &mut self,
        _: Resource<MessageHandle>,
        name: String,
        occurrence: u32,
        value: String,
    ) -> Result<bool> {
        let (draft, index) = self.draft_and_index()?;
        draft.replace(index, &name, occurrence, &value).map_err(Error::msg)
    }

    fn remove_header(
        &mut self,
        _: Resource<MessageHandle>,
        name: String,
        occurrence: Option<u32>,
    ) -> Result<u32> {
        let (draft, index) = self.draft_and_index()?;
        draft.remove(index, &name, occurrence).map_err(Error::msg)
    }

    async fn replace_body(
        &mut self,
        _: Resource<MessageHandle>,
        chunk: Vec<u8>,
        last: bool,
    ) -> Result<()> {
        if chunk.len() > READ_LIMIT {
            bail!("a chunk of {} bytes (at most {READ_LIMIT})", chunk.len());
        }
        let bodies = self.message()?.bodies();
        self.draft()?.replace_body(&*bodies, &chunk, last).await.map_err(Error::msg)
    }

    fn drop(&mut self, _: Resource<MessageHandle>) -> Result<()> {
        Ok(())
    }
}
