//! `[folders.NAME]`: files that plugins may be granted.

use std::path::PathBuf;

use super::reader::{Section, Value};

/// One folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The largest file that a plugin may write, in bytes. Default 256 KiB; what one call can hand
    /// over is less than 1 MiB.
    pub file_size: u64,
    /// What all files in it may have together for a plugin to write more, in bytes. Default 64 MiB.
    pub size: u64,
    /// How many files may be in it for a plugin to write more. Default 10,000.
    pub files: u64,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Folder> {
    let path = section.required("path", "\"/var/lib/facteur/lists\"", Value::path);
    let file_size = section.or("file-size", 256 << 10, |value| value.size(1..=1_000_000));
    let size = section.or("size", 64 << 20, |value| value.size(1..=1 << 50));
    let files = section.or("files", 10_000, |value| value.integer(1..=100_000));
    Some(Folder { path: path?, file_size, size, files })
}
