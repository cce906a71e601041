//! Files that are read whole: all bytes from one version of a file, or none.
//!
//! A file that changes while it is read is read again, and again only so often. What is no regular
//! file is refused without waiting for it: to open a pipe may take for ever. Reading blocks, so
//! that it never happens on the event loop.

use std::fs::{Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file that changed as recently as this may change again without a new time stamp: the clock of
/// file systems goes in steps (4 to 10 ms on Linux), and whoever writes may not be done.
const RECENT: Duration = Duration::from_millis(100);
/// How often a file that changes under one's hands is read again before that is left to the next
/// time.
const ATTEMPTS: usize = 5;
/// How often [`read_settled`] waits for [`RECENT`] to go by: two seconds, in which any file that is
/// written once is done.
const WAITS: usize = 20;

/// Why a file isn't read.
#[derive(Debug, thiserror::Error)]
pub enum WholeError {
    /// What the system says.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// A folder, a pipe, a device.
    #[error("this is no regular file")]
    Irregular,
    /// It has more bytes than there may be.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// It changes all the time.
    #[error(
        "it is being written: read it again when that is done (who writes under another name and \
         renames that is always done)"
    )]
    Changing,
}

impl From<WholeError> for std::io::Error {
    fn from(error: WholeError) -> Self {
        match error {
            WholeError::System(error) => error,
            other => Self::other(other),
        }
    }
}

/// What tells versions of a file apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Set by the kernel at every write, whatever anyone makes of the other.
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the version that this was asked of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether another version may hide behind the same stamp.
    pub fn is_recent(&self) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
            + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.abs_diff(changed) < RECENT
    }
}

/// A version of a file.
pub struct Whole {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Which version it is.
    pub stamp: Stamp,
    /// Whether it was recent when it was read, so that this may be a mixture with another.
    pub recent: bool,
}

/// Reads a file of at most `limit` bytes as it is now.
///
/// # Errors
/// It can't be read, or changes all the time.
pub fn read(path: &Path, limit: u64) -> Result<Whole, WholeError> {
    for _ in 0..ATTEMPTS {
        // Looked at before it is opened, since that alone may do something to a device; and opened
        // so that it doesn't wait, should it be a pipe by then.
        let before = std::fs::metadata(path)?;
        if !before.is_file() {
            return Err(WholeError::Irregular);
        }
        if before.size() > limit {
            return Err(WholeError::TooLarge(limit));
        }
        let stamp = Stamp::of(&before);
        let recent = stamp.is_recent();
        let without_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path)?;
        if Stamp::of(&file.metadata()?) != stamp {
            continue;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(before.size()).unwrap_or_default());
        file.take(limit + 1).read_to_end(&mut bytes)?;
        let is_whole = bytes.len() as u64 == before.size();
        if is_whole && Stamp::of(&std::fs::metadata(path)?) == stamp {
            return Ok(Whole { bytes, stamp, recent });
        }
    }
    Err(WholeError::Changing)
}

/// Reads a file of at most `limit` bytes of which nobody writes another version meanwhile: one that
/// has just changed is waited for, for two seconds at most.
///
/// # Errors
/// It can't be read, or changes all the time.
pub fn read_settled(path: &Path, limit: u64) -> Result<Vec<u8>, WholeError> {
    for _ in 0..WAITS {
        match read(path, limit) {
            Ok(whole) if !whole.recent => return Ok(whole.bytes),
            Ok(_) | Err(WholeError::Changing) => std::thread::sleep(RECENT),
            Err(error) => return Err(error),
        }
    }
    Err(WholeError::Changing)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek as _, Write as _};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_is_no_file_is_not_opened() {
        let words = |path: &Path| read_settled(path, 10).unwrap_err().to_string();
        assert_eq!(words(Path::new("/dev/null")), "this is no regular file");
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        assert_eq!(words(&pipe), "this is no regular file");
        let large = folder.path().join("large");
        std::fs::write(&large, "12345678901").unwrap();
        assert_eq!(words(&large), "larger than 10 bytes");
    }

    /// In place, as `cp` does it, over and over, with a pause in the middle of each version.
    #[test]
    fn a_file_that_is_overwritten_is_read_whole_or_not() {
        const SIZE: usize = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("component");
        std::fs::write(&path, vec![0; SIZE]).unwrap();
        let (done, writing) = (AtomicBool::new(false), AtomicBool::new(false));
        // A writer that is kept from writing for so long looks as if it were done.
        let late = AtomicBool::new(false);
        let read = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = File::options().write(true).open(&path).unwrap();
                for version in (1..=u8::MAX).cycle() {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    file.rewind().unwrap();
                    for part in vec![version; SIZE].chunks(SIZE / 4) {
                        let start = Instant::now();
                        file.write_all(part).unwrap();
                        std::thread::sleep(Duration::from_millis(10));
                        late.fetch_or(start.elapsed() >= RECENT / 2, Ordering::Relaxed);
                    }
                    writing.store(true, Ordering::Relaxed);
                }
            });
            while !writing.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let read = read_settled(&path, SIZE as u64);
            done.store(true, Ordering::Relaxed);
            read
        });
        match read {
            // Whoever is scheduled late may leave a version alone for long enough to be read.
            Ok(bytes) => assert!(
                late.into_inner() || bytes.iter().all(|byte| *byte == bytes[0]),
                "a mixture"
            ),
            Err(error) => assert!(matches!(error, WholeError::Changing), "{error}"),
        }
        let bytes = read_settled(&path, SIZE as u64).unwrap();
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a mixture");
    }
}
