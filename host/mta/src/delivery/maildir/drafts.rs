//! What a crash left in the `tmp` of a Maildir: a message that was on its way into it is delivered
//! again, by another name, and nobody ever reads the first draft.
//!
//! Removed after 36 hours, as maildir(5) has it: nobody is still writing it then.

use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// How old a draft must be.
const OLD: Duration = Duration::from_hours(36);
/// How often a Maildir is looked at, when mail comes for it.
const INTERVAL: Duration = Duration::from_hours(1);
/// Files looked at in one go: the rest has its turn later.
const LOOKED_AT: usize = 10_000;
/// Maildirs remembered as looked at: a few MiB. When it is full it starts anew.
const REMEMBERED: usize = 50_000;

/// Whether this Maildir is to be looked at now. It counts as looked at from then on.
pub fn are_due(maildir: &Path) -> bool {
    static LOOKED: Mutex<Option<HashMap<PathBuf, Instant>>> = Mutex::new(None);
    let mut looked = LOOKED.lock();
    let looked = looked.get_or_insert_default();
    if looked.get(maildir).is_some_and(|at| at.elapsed() < INTERVAL) {
        return false;
    }
    if looked.len() >= REMEMBERED {
        looked.clear();
    }
    looked.insert(maildir.to_owned(), Instant::now());
    true
}

/// Removes the old ones. Runs as the user. What can't be removed stays: it is no harm to the mail.
pub fn remove_old(maildir: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(maildir.join("tmp")) else { return };
    let old = entries.take(LOOKED_AT).flatten().filter(|entry| is_old(entry, now));
    let removed = old.filter(|entry| fs::remove_file(entry.path()).is_ok()).count();
    if removed > 0 {
        tracing::info!(
            maildir = %maildir.display(), removed, "drafts that a crash left are removed"
        );
    }
}

/// By the time at which the system last saw anything change about it, which no program sets: a
/// mail program may move an old message through `tmp`.
fn is_old(entry: &DirEntry, now: SystemTime) -> bool {
    let Ok(about) = entry.metadata() else { return false };
    let changed =
        UNIX_EPOCH + Duration::from_secs(u64::try_from(about.ctime()).unwrap_or_default());
    let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
    about.is_file() && !hidden && now.duration_since(changed).is_ok_and(|age| age > OLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_is_removed_after_36_hours() {
        let maildir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = maildir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "half a").unwrap();
            path
        };
        let drafts = ["tmp/1.M1P1Q1.x", "tmp/2.M1P1Q2.x"].map(file);
        let others = ["new/1.M1P1Q3.x", "cur/1.M1P1Q4.x", "tmp/.hidden", "tmp/folder/x"].map(file);
        let there = |all: &[PathBuf]| all.iter().filter(|path| path.exists()).count();
        remove_old(maildir.path(), SystemTime::now() + OLD - Duration::from_secs(60));
        assert_eq!(there(&drafts), 2);
        remove_old(maildir.path(), SystemTime::now() + OLD + Duration::from_secs(60));
        assert_eq!((there(&drafts), there(&others)), (0, 4));
        assert!(are_due(maildir.path()) && !are_due(maildir.path()));
    }
}
