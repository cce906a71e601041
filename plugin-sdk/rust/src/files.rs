//! Folders of files that the operator names. Reading needs the grant `files = ["name"]`, writing
//! `files-write = ["name"]`.
//!
//! Paths are relative to the folder, with slashes; parts that begin with a dot are not valid.

use crate::Error;
pub use crate::bindings::facteur::policy::files::Entry;
use crate::host::files as host;

/// At most 65,536 bytes of a file, from this offset; fewer only at the end.
///
/// # Errors
/// The folder isn't granted or isn't there, or the file can't be read.
pub fn read(folder: &str, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
    host::read(folder, path, offset, length)
}

/// What is known of a file or folder without reading it.
///
/// # Errors
/// As [`read`].
pub fn info(folder: &str, path: &str) -> Result<Entry, Error> {
    host::info(folder, path)
}

/// Up to 256 names below a path (empty: the folder itself), in the order of their bytes, after this
/// one. Fewer only at the end. The names of folders end in a slash.
///
/// # Errors
/// As [`read`].
pub fn names(folder: &str, path: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
    host::names(folder, path, after)
}

/// Makes the file, or exchanges it as a whole: nobody ever sees half of it.
///
/// # Errors
/// The folder isn't granted for writing or isn't there, is full, or the file can't be written.
pub fn write(folder: &str, path: &str, content: &[u8]) -> Result<(), Error> {
    host::write(folder, path, content)
}

/// Removes the file.
///
/// # Errors
/// As [`write()`], or there is none.
pub fn remove(folder: &str, path: &str) -> Result<(), Error> {
    host::remove(folder, path)
}

/// Whether the folder is there and granted, for writing if it shall be; to be asked in `init`.
///
/// # Errors
/// A text for the operator that names the folder and what to do.
pub fn check(folder: &str, write: bool) -> Result<(), String> {
    host::check(folder, write).map_err(|error| format!("folder \"{folder}\": {}", error.explain()))
}
