//! The spool's directory: made private, refused where others may write to it, locked for one
//! process, marked clean or not.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::SpoolError;

/// The directory, ours while this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    bodies: Arc<Path>,
    was_clean: bool,
    ahead: Duration,
    /// Its lock is released when it is closed.
    _lock: File,
}

impl Folder {
    /// Makes the directory where there is none, takes its lock and removes the mark of a clean end.
    pub(crate) fn claim(path: &Path) -> Result<Self, SpoolError> {
        let bodies = path.join("bodies");
        for directory in [path, &bodies] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| SpoolError::io(directory, error))?;
            must_be_ours(directory)?;
        }
        let ahead = ahead(path);
        let lock = lock(path)?;
        let clean = path.join("clean");
        let was_clean = match std::fs::remove_file(&clean) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(SpoolError::io(&clean, error)),
        };
        // A database made by SQLite gets the modes of this file, and its log as well.
        let database = path.join("queue.db");
        let fresh =
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&database) {
                Ok(_) => true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    must_be_ours(&database)?;
                    false
                }
                Err(error) => return Err(SpoolError::io(&database, error)),
            };
        sync_directory(path).map_err(|error| SpoolError::io(path, error))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent).map_err(|error| SpoolError::io(parent, error))?;
        }
        Ok(Self {
            path: path.to_owned(),
            bodies: bodies.into(),
            was_clean: was_clean || fresh,
            ahead,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("queue.db")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    pub(crate) fn bodies(&self) -> &Arc<Path> {
        &self.bodies
    }

    /// Whether the last process ended by closing the spool.
    pub(crate) fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// How far in the future the last process left it, by a clock that has been set back since.
    pub(crate) fn ahead(&self) -> Duration {
        self.ahead
    }

    /// Marks a clean end; nothing may be written after it.
    pub(crate) fn mark_clean(&self) -> Result<(), SpoolError> {
        let path = self.path.join("clean");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_directory(&self.path))
            .map_err(|error| SpoolError::sync(&path, &error))
    }
}

/// How far in the future the files are that every process writes.
fn ahead(path: &Path) -> Duration {
    let now = SystemTime::now();
    let ahead = |name: &&str| {
        let modified = std::fs::metadata(path.join(name)).ok()?.modified().ok()?;
        modified.duration_since(now).ok()
    };
    ["lock", "clean", "queue.db", "queue.db-wal"].iter().filter_map(ahead).max().unwrap_or_default()
}

/// Whoever may write to the spool may put mail into it, as anybody, and take what is there. Root may
/// in any case.
fn must_be_ours(path: &Path) -> Result<(), SpoolError> {
    let about = std::fs::metadata(path).map_err(|error| SpoolError::io(path, error))?;
    let others = about.mode() & 0o022 != 0;
    let owner = about.uid();
    if others || (owner != 0 && owner != rustix::process::geteuid().as_raw()) {
        return Err(SpoolError::Open { path: path.to_owned(), owner, mode: about.mode() & 0o7777 });
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, SpoolError> {
    let name = path.join("lock");
    let failed = |error| SpoolError::io(&name, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who it is helps, but the error stands without.
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => String::new(),
                process => format!(" (process {process})"),
            };
            return Err(SpoolError::Locked { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
