//! One folder: what may be read in it, and how much may be written.
//!
//! Everything here waits for the disk.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::time::UNIX_EPOCH;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, OpenOptions, OpenOptionsExt as _};
use facteur_policy::{FileError, FileInfo};
use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::config;

/// Names that are listed at once.
pub const LISTED: usize = 256;
/// Entries that are looked at, for a list or to know how full it is.
const ENTRIES: u64 = 100_000;
/// The longest path, in bytes.
const PATH: usize = 1024;
/// How many folders deep it is looked at to know how full it is.
const DEPTH: usize = 32;
/// Before the name of a file that is being written. No path of a plugin names it.
const UNFINISHED: &str = ".unfinished-";

/// A folder.
pub struct Folder {
    settings: config::Folder,
    /// What is in it, once it was asked to take more. One file is written at a time.
    used: Mutex<Option<Used>>,
}

/// What is in a folder.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    bytes: u64,
    files: u64,
}

impl Folder {
    /// Opens nothing yet: the folder may be made later.
    pub fn new(settings: config::Folder) -> Self {
        Self { settings, used: Mutex::default() }
    }

    /// Whether it has these settings.
    pub fn is(&self, settings: &config::Folder) -> bool {
        self.settings == *settings
    }

    fn open(&self) -> Result<Dir, FileError> {
        Dir::open_ambient_dir(&self.settings.path, ambient_authority()).map_err(|error| {
            FileError::Unavailable(format!("{}: {error}", self.settings.path.display()))
        })
    }

    /// At most so many bytes of a file from this offset.
    pub fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, FileError> {
        let (file, metadata) = open_file(&self.open()?, checked(path)?)?;
        let left = usize::try_from(metadata.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut content = vec![0; length.min(left)];
        let file = file.into_std();
        let mut done = 0;
        while done < content.len() {
            match file.read_at(&mut content[done..], offset + done as u64) {
                // It became shorter just now.
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(&error)),
            }
        }
        content.truncate(done);
        Ok(content)
    }

    /// What is known of a file or folder.
    pub fn info(&self, path: &str) -> Result<FileInfo, FileError> {
        let dir = self.open()?;
        let metadata = match checked_folder(path)? {
            "." => dir.dir_metadata(),
            path => dir.metadata(path),
        };
        let metadata = metadata.map_err(|error| failure(&error))?;
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.into_std().duration_since(UNIX_EPOCH).ok());
        Ok(FileInfo {
            size: metadata.len(),
            modified: modified.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0),
            is_folder: metadata.is_dir(),
        })
    }

    /// The first names after this one.
    pub fn list(&self, path: &str, after: Option<&str>) -> Result<Vec<String>, FileError> {
        let entries =
            self.open()?.read_dir(checked_folder(path)?).map_err(|error| failure(&error))?;
        let mut names = BTreeSet::new();
        for (number, entry) in entries.enumerate() {
            if number as u64 >= ENTRIES {
                return Err(FileError::TooLarge);
            }
            let entry = entry.map_err(|error| failure(&error))?;
            // What has no name that a plugin could say isn't told, nor what is neither file nor
            // folder.
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(|error| failure(&error))?;
            if !is_part(&name) || !(kind.is_dir() || kind.is_file()) {
                continue;
            }
            if kind.is_dir() {
                name.push('/');
            }
            if after.is_none_or(|after| name.as_str() > after) {
                names.insert(name);
                if names.len() > LISTED {
                    names.pop_last();
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Makes the file, or exchanges it.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let path = checked(path)?;
        if content.len() as u64 > self.settings.file_size {
            return Err(FileError::TooLarge);
        }
        let dir = self.open()?;
        let mut used = self.used.lock();
        let before = match used.take() {
            Some(before) => before,
            None => measure(&dir, DEPTH)?,
        };
        let old = match dir.metadata(path) {
            Ok(metadata) if metadata.is_file() => Some(metadata.len()),
            Ok(_) => return Err(FileError::InvalidPath),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failure(&error)),
        };
        let after = Used {
            bytes: before.bytes.saturating_sub(old.unwrap_or(0)) + content.len() as u64,
            files: before.files + u64::from(old.is_none()),
        };
        if after.bytes > self.settings.size || after.files > self.settings.files {
            *used = Some(before);
            return Err(FileError::Full);
        }
        // From here on a failure leaves it to be measured anew.
        put(&dir, path, content).map_err(|error| failure(&error))?;
        *used = Some(after);
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) -> Result<(), FileError> {
        let path = checked(path)?;
        let dir = self.open()?;
        let mut used = self.used.lock();
        let size = dir.symlink_metadata(path).map_err(|error| failure(&error))?.len();
        dir.remove_file(path).map_err(|error| failure(&error))?;
        if let Some(used) = &mut *used {
            *used = Used {
                bytes: used.bytes.saturating_sub(size),
                files: used.files.saturating_sub(1),
            };
        }
        Ok(())
    }
}

/// Opens a file, and nothing that would make a reader wait.
fn open_file(dir: &Dir, path: &str) -> Result<(File, Metadata), FileError> {
    let mut options = OpenOptions::new();
    // A pipe would wait for its writer; it is told from a file once it is open.
    options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = dir.open_with(path, &options).map_err(|error| failure(&error))?;
    let metadata = file.metadata().map_err(|error| failure(&error))?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(FileError::InvalidPath) }
}

/// Writes beside the file, and moves it there when it is whole and on the disk.
fn put(dir: &Dir, path: &str, content: &[u8]) -> io::Result<()> {
    let (folder, name) =
        path.rsplit_once('/').map_or((None, path), |(folder, name)| (Some(folder), name));
    let opened = folder.map(|folder| dir.open_dir(folder)).transpose()?;
    let folder = opened.as_ref().unwrap_or(dir);
    // What a crash left is in the way of nobody but of us.
    let unfinished = format!("{UNFINISHED}{name}");
    let _ = folder.remove_file(&unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o640);
    let written = folder.open_with(&unfinished, &options).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        folder.rename(&unfinished, folder, name)
    });
    if written.is_err() {
        let _ = folder.remove_file(&unfinished);
    }
    written
}

/// What is in a folder and those in it. Links are not followed.
fn measure(dir: &Dir, depth: usize) -> Result<Used, FileError> {
    let mut used = Used::default();
    let entries = dir.entries().map_err(|error| failure(&error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failure(&error))?;
        let metadata = entry.metadata().map_err(|error| failure(&error))?;
        used.files += 1;
        used.bytes += metadata.len();
        if metadata.is_dir() && depth > 0 {
            let within = measure(&entry.open_dir().map_err(|error| failure(&error))?, depth - 1)?;
            used = Used { bytes: used.bytes + within.bytes, files: used.files + within.files };
        }
        if used.files > ENTRIES {
            return Err(FileError::Full);
        }
    }
    Ok(used)
}

/// A part of a path: what hides, or leads up, is none.
fn is_part(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\0'])
}

/// The path of a file: relative, in parts.
fn checked(path: &str) -> Result<&str, FileError> {
    if path.len() <= PATH && path.split('/').all(is_part) {
        Ok(path)
    } else {
        Err(FileError::InvalidPath)
    }
}

/// The same for a folder, which may be the whole one and may end in a slash.
fn checked_folder(path: &str) -> Result<&str, FileError> {
    if path.is_empty() { Ok(".") } else { checked(path.strip_suffix('/').unwrap_or(path)) }
}

fn failure(error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => FileError::InvalidPath,
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => FileError::InvalidPath,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FileError::Full,
        // cap-std's own, in place of what the system would have allowed.
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => FileError::InvalidPath,
        _ => FileError::Unavailable(error.to_string()),
    }
}
