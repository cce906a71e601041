//! `files`: folders that the operator names, read-only unless said.

use wasmtime::Result;

use super::{Answer, unknown};
use crate::contract::bindings::facteur::policy::{files, types};
use crate::contract::context::Context;
use crate::services::{FileError, FileInfo};

/// The most bytes of one `read`.
const READ_LIMIT: u32 = 64 * 1024;

impl From<FileError> for types::Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::UnknownFolder(name) => unknown("folders", &name),
            FileError::NotFound => Self::NotFound,
            FileError::InvalidPath => Self::Invalid(error.to_string()),
            FileError::TooLarge => Self::TooLarge,
            FileError::Full => Self::Limit(error.to_string()),
            FileError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl Context {
    fn may_read(&self, folder: &str) -> Answer<()> {
        let granted = self.plugin.grants.files(&self.plugin.name, folder);
        granted.map_err(types::Error::NotGranted)?;
        self.is_folder(folder)
    }

    fn may_write(&self, folder: &str) -> Answer<()> {
        let granted = self.plugin.grants.files_write(&self.plugin.name, folder);
        granted.map_err(types::Error::NotGranted)?;
        self.is_folder(folder)
    }

    fn is_folder(&self, folder: &str) -> Answer<()> {
        let is_there = self.services.files.is_folder(folder);
        if is_there { Ok(()) } else { Err(unknown("folders", folder)) }
    }
}

impl From<FileInfo> for files::Entry {
    fn from(info: FileInfo) -> Self {
        Self { size: info.size, modified: info.modified, is_folder: info.is_folder }
    }
}

pub(crate) fn check(context: &Context, folder: String, write: bool) -> Result<Answer<()>> {
    Ok(if write { context.may_write(&folder) } else { context.may_read(&folder) })
}

pub(crate) async fn read(
    context: &Context,
    folder: String,
    path: String,
    offset: u64,
    length: u32,
) -> Result<Answer<Vec<u8>>> {
    if let Err(error) = context.may_read(&folder) {
        return Ok(Err(error));
    }
    let length = length.min(READ_LIMIT) as usize;
    Ok(context.services.files.read(&folder, &path, offset, length).await.map_err(Into::into))
}

pub(crate) async fn info(
    context: &Context,
    folder: String,
    path: String,
) -> Result<Answer<files::Entry>> {
    if let Err(error) = context.may_read(&folder) {
        return Ok(Err(error));
    }
    Ok(context.services.files.info(&folder, &path).await.map(Into::into).map_err(Into::into))
}

pub(crate) async fn names(
    context: &Context,
    folder: String,
    path: String,
    after: Option<String>,
) -> Result<Answer<Vec<String>>> {
    if let Err(error) = context.may_read(&folder) {
        return Ok(Err(error));
    }
    Ok(context.services.files.list(&folder, &path, after.as_deref()).await.map_err(Into::into))
}

pub(crate) async fn write(
    context: &Context,
    folder: String,
    path: String,
    content: Vec<u8>,
) -> Result<Answer<()>> {
    if let Err(error) = context.may_write(&folder) {
        return Ok(Err(error));
    }
    Ok(context.services.files.write(&folder, &path, content).await.map_err(Into::into))
}

pub(crate) async fn remove(context: &Context, folder: String, path: String) -> Result<Answer<()>> {
    if let Err(error) = context.may_write(&folder) {
        return Ok(Err(error));
    }
    Ok(context.services.files.remove(&folder, &path).await.map_err(Into::into))
}
