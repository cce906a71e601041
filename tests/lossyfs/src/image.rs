//! The record of what is durable, and how a tree is made from it.
//!
//! Everything goes by inode number, since syncing a file says nothing of its name. A hard link
//! under `pins` keeps an inode that was seen from being used again for another file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The image directory.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    path: PathBuf,
}

impl Image {
    /// The one in this directory, which is made where there is none.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        for part in ["files", "directories", "pins", "unfinished"] {
            fs::create_dir_all(path.join(part))?;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Records the content of a regular file; `source` is any path that leads to it.
    pub(crate) fn record_file(&self, inode: u64, source: &Path) -> io::Result<()> {
        self.pin(inode, source)?;
        let unfinished = self.path.join("unfinished").join(inode.to_string());
        fs::copy(source, &unfinished)?;
        fs::rename(unfinished, self.file(inode))
    }

    /// Records the names in a directory.
    pub(crate) fn record_directory(&self, inode: u64, directory: &Path) -> io::Result<()> {
        let mut listing = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Gone meanwhile: as if it had been gone before.
            let Ok(found) = entry.metadata() else { continue };
            let kind = if found.is_dir() {
                'd'
            } else if found.is_file() {
                self.pin(found.ino(), &entry.path())?;
                'f'
            } else {
                continue;
            };
            listing.extend_from_slice(format!("{kind} {} ", found.ino()).as_bytes());
            listing.extend_from_slice(entry.file_name().as_bytes());
            listing.push(0);
        }
        let unfinished = self.path.join("unfinished").join(inode.to_string());
        fs::write(&unfinished, listing)?;
        fs::rename(unfinished, self.directory(inode))
    }

    pub(crate) fn snapshot(&self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                self.snapshot(&entry.path())?;
            } else if found.is_file() {
                self.record_file(found.ino(), &entry.path())?;
            }
        }
        self.record_directory(fs::metadata(directory)?.ino(), directory)
    }

    pub(crate) fn restore(&self, root: &Path, into: &Path) -> io::Result<()> {
        self.restore_directory(fs::metadata(root)?.ino(), into)
    }

    fn restore_directory(&self, inode: u64, into: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(into)?;
        let listing = match fs::read(self.directory(inode)) {
            Ok(listing) => listing,
            // Never synced: nothing in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let (kind, inode, name) = parse(line).ok_or_else(|| {
                io::Error::other(format!(
                    "a broken line in the image: {}",
                    String::from_utf8_lossy(line)
                ))
            })?;
            let path = into.join(name);
            if kind == b'd' {
                self.restore_directory(inode, &path)?;
                continue;
            }
            match fs::copy(self.file(inode), &path) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn pin(&self, inode: u64, source: &Path) -> io::Result<()> {
        let pin = self.path.join("pins").join(inode.to_string());
        if pin.exists() {
            return Ok(());
        }
        // The source may be a link of /proc, which must be followed.
        let target = fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
        match fs::hard_link(target, &pin) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) =>
            {
                Err(error)
            }
            // A file without a name any more can't be pinned, and no listing will name it.
            _ => Ok(()),
        }
    }

    fn file(&self, inode: u64) -> PathBuf {
        self.path.join("files").join(inode.to_string())
    }

    fn directory(&self, inode: u64) -> PathBuf {
        self.path.join("directories").join(inode.to_string())
    }
}

fn parse(line: &[u8]) -> Option<(u8, u64, &OsStr)> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let kind = *parts.next()?.first()?;
    let inode = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    Some((kind, inode, OsStr::from_bytes(parts.next()?)))
}

/// The path of an open file and whether it still has it; `/proc` marks one that was removed.
pub(crate) fn path_of(descriptor: &Path) -> io::Result<PathBuf> {
    let path = fs::read_link(descriptor)?.into_os_string().into_vec();
    let path = path.strip_suffix(b" (deleted)".as_slice()).unwrap_or(&path).to_owned();
    Ok(OsString::from_vec(path).into())
}

/// The inode number of an open file, and whether it is a directory or a regular file.
pub(crate) fn kind_of(descriptor: &Path) -> io::Result<Option<(u64, bool)>> {
    let found = File::open(descriptor)?.metadata()?;
    Ok((found.is_dir() || found.is_file()).then(|| (found.ino(), found.is_dir())))
}
