//! Folders of files, by name.

use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};

use super::nothing::Nothing;

/// What is known of a file or folder without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// In bytes.
    pub size: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified: u64,
    /// It holds files itself.
    pub is_folder: bool,
}

/// Why a file wasn't read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FileError {
    /// No folder has this name.
    #[error("there is no folder \"{0}\"")]
    UnknownFolder(String),
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// Not a path below the folder.
    #[error("not a path below the folder")]
    InvalidPath,
    /// More than a file may have, or a folder may list.
    #[error("too large")]
    TooLarge,
    /// The folder holds all that it may.
    #[error("the folder is full")]
    Full,
    /// The system's reason.
    #[error("{0}")]
    Unavailable(String),
}

/// Answers without blocking a thread that serves mail.
pub type FileAnswer<'a, T> = BoxFuture<'a, Result<T, FileError>>;

/// Reads and writes files. Paths are relative and stay below their folder, whatever links lie
/// there.
pub trait Files: Send + Sync {
    /// Whether there is a folder of this name.
    fn is_folder(&self, _name: &str) -> bool {
        false
    }

    /// At most so many bytes from this offset; fewer only at the end.
    fn read<'a>(
        &'a self,
        folder: &'a str,
        _path: &'a str,
        _offset: u64,
        _length: usize,
    ) -> FileAnswer<'a, Vec<u8>> {
        unknown(folder)
    }

    /// What is known of it.
    fn info<'a>(&'a self, folder: &'a str, _path: &'a str) -> FileAnswer<'a, FileInfo> {
        unknown(folder)
    }

    /// The first names in a folder, in the order of their bytes, after this one; folders end in a
    /// slash.
    fn list<'a>(
        &'a self,
        folder: &'a str,
        _path: &'a str,
        _after: Option<&'a str>,
    ) -> FileAnswer<'a, Vec<String>> {
        unknown(folder)
    }

    /// Makes the file, or exchanges it as a whole.
    fn write<'a>(
        &'a self,
        folder: &'a str,
        _path: &'a str,
        _content: Vec<u8>,
    ) -> FileAnswer<'a, ()> {
        unknown(folder)
    }

    /// Removes the file.
    fn remove<'a>(&'a self, folder: &'a str, _path: &'a str) -> FileAnswer<'a, ()> {
        unknown(folder)
    }
}

fn unknown<T: Send + 'static>(folder: &str) -> FileAnswer<'static, T> {
    Box::pin(ready(Err(FileError::UnknownFolder(folder.to_owned()))))
}

impl Files for Nothing {}
