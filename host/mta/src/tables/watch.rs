//! One table in a file: read when it changed, exchanged when it is good, kept as it was when it
//! isn't.
//!
//! Changes are seen by polling `stat`, which works on every file system and for every way to write
//! a file. Invariants: what is in force was parsed without a fault from bytes that didn't change
//! while they were read; a version that is found faulty is not read again until it changes; the
//! same trouble is logged once. A version that has lost nearly all entries waits for a while: it is
//! what `generate > table` looks like when it fails or isn't done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::content::Content;
use super::error::TableError;
use crate::config::Format;
use crate::whole::{self, Stamp};

/// A table must fit into memory, and its text into 32-bit offsets.
const MAX_FILE: u64 = 1 << 30;
/// A table that shrinks to so small a part at once, or to nothing, was hardly meant to.
const TENTH: usize = 10;
/// How long such a version waits before it is in force after all, unless it is read by a reload: a
/// revocation must take effect, too.
const SHRUNK_WAITS: Duration = Duration::from_secs(60);
/// Faults of one file that are told; the mend of the first few shows the others.
const MAX_TOLD: usize = 20;

/// A table in a file.
pub(super) struct Watched {
    pub name: String,
    pub path: PathBuf,
    pub format: Format,
    content: ArcSwapOption<Content>,
    seen: Mutex<Seen>,
}

/// What was last seen of the file.
#[derive(Default)]
struct Seen {
    /// Of the version that was last parsed, well or not.
    stamp: Option<Stamp>,
    /// Whether that version was recent, so that another may hide behind the same stamp.
    recent: bool,
    /// Since when the file has had hardly any of the entries that are in force.
    shrunk_since: Option<Instant>,
    /// What is wrong with the file now.
    trouble: Vec<TableError>,
}

impl Watched {
    pub(super) fn new(name: &str, path: &Path, format: Format) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            format,
            content: ArcSwapOption::empty(),
            seen: Mutex::default(),
        })
    }

    /// The last good version, if there ever was one.
    pub(super) fn content(&self) -> arc_swap::Guard<Option<Arc<Content>>> {
        self.content.load()
    }

    /// What is wrong with the file now.
    pub(super) fn trouble(&self) -> Vec<TableError> {
        self.seen.lock().trouble.clone()
    }

    /// Looks whether the file changed. True if another version is in force now. `patient`: a
    /// version that may still be in the making is left to the next time, and one that has lost
    /// nearly all entries waits.
    pub(super) fn look(&self, patient: bool) -> bool {
        self.look_at(Instant::now(), patient)
    }

    fn look_at(&self, now: Instant, patient: bool) -> bool {
        let mut seen = self.seen.lock();
        let stamp = match std::fs::metadata(&self.path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => {
                // Whatever comes back is read anew.
                seen.stamp = None;
                self.trouble_with(&mut seen, vec![self.error(None, error.to_string())]);
                return false;
            }
        };
        let has_waited = seen
            .shrunk_since
            .is_some_and(|since| !patient || now.saturating_duration_since(since) >= SHRUNK_WAITS);
        if (seen.stamp == Some(stamp) && !seen.recent && !has_waited)
            || (patient && stamp.is_recent())
        {
            return false;
        }
        let read = match whole::read(&self.path, MAX_FILE) {
            Ok(read) => read,
            Err(reason) => {
                self.trouble_with(&mut seen, vec![self.error(None, reason.to_string())]);
                return false;
            }
        };
        seen.stamp = Some(read.stamp);
        seen.recent = read.recent;
        let (content, remarks) = Content::parse(self.format, &read.bytes);
        if !remarks.faults.is_empty() {
            seen.shrunk_since = None;
            let told = remarks.faults.into_iter().take(MAX_TOLD);
            let errors = told.map(|fault| self.error(Some(fault.line), fault.reason)).collect();
            self.trouble_with(&mut seen, errors);
            return false;
        }
        for warning in remarks.warnings.into_iter().take(MAX_TOLD) {
            tracing::warn!("{}", self.error(Some(warning.line), warning.reason));
        }
        seen.trouble.clear();
        if patient && !has_waited && self.shrinks_to(content.len()) {
            if seen.shrunk_since.is_none() {
                seen.shrunk_since = Some(now);
                tracing::warn!(
                    table = self.name, file = %self.path.display(), entries = content.len(),
                    "the table has lost nearly all its entries: the version before stays for {} s; \
                     `facteur reload` puts this one in force now", SHRUNK_WAITS.as_secs()
                );
            }
            return false;
        }
        seen.shrunk_since = None;
        tracing::info!(
            table = self.name, file = %self.path.display(), entries = content.len(), "table read"
        );
        self.content.store(Some(Arc::new(content)));
        true
    }

    /// Whether hardly anything is left of what is in force.
    fn shrinks_to(&self, entries: usize) -> bool {
        let before = self.content.load().as_ref().map_or(0, |content| content.len());
        entries < before && entries <= before / TENTH
    }

    /// Notes what is wrong, and logs it if that is new.
    fn trouble_with(&self, seen: &mut Seen, trouble: Vec<TableError>) {
        if seen.trouble == trouble {
            return;
        }
        let kept = if self.content.load().is_some() {
            "the last good version stays"
        } else {
            "it can't be asked yet"
        };
        for error in &trouble {
            tracing::error!("{error} ({kept})");
        }
        seen.trouble = trouble;
    }

    fn error(&self, line: Option<usize>, reason: String) -> TableError {
        TableError { table: self.name.clone(), file: self.path.clone(), line, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks until the change is in force. A version counts once it is 100 ms old.
    fn look_until(watched: &Watched, what: bool) {
        let start = Instant::now();
        while watched.look(true) != what {
            assert!(start.elapsed() < Duration::from_secs(10), "the change was never seen");
            std::thread::yield_now();
        }
    }

    fn get(watched: &Watched, key: &str) -> Option<String> {
        watched.content().as_ref().and_then(|content| content.find(&[key])).map(|found| found.value)
    }

    #[test]
    fn a_change_counts_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("virtual");
        let watched = Watched::new("virtual", &path, Format::Texthash);
        assert!(!watched.look(false));
        assert!(watched.content().is_none());
        assert!(watched.trouble()[0].to_string().contains("virtual"), "{:?}", watched.trouble());

        std::fs::write(&path, "a 1\n").unwrap();
        assert!(watched.look(false), "at the start nobody waits");
        assert_eq!(get(&watched, "a").as_deref(), Some("1"));

        std::fs::write(&path, "a 2\nb\n").unwrap();
        let start = Instant::now();
        while watched.trouble().is_empty() {
            watched.look(true);
            assert!(start.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(watched.trouble()[0].line, Some(2));
        assert_eq!(get(&watched, "a").as_deref(), Some("1"), "the last good one stays");

        // Same size, another file in its place.
        std::fs::write(folder.path().join("new"), "a 3\nb 4\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        look_until(&watched, true);
        assert_eq!(get(&watched, "a").as_deref(), Some("3"));
        assert!(watched.trouble().is_empty());

        std::fs::remove_file(&path).unwrap();
        assert!(!watched.look(true));
        assert_eq!(get(&watched, "b").as_deref(), Some("4"));
        assert_eq!(watched.trouble().len(), 1);
    }

    #[test]
    fn a_version_behind_the_same_stamp_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        std::fs::write(&path, "a 1\n").unwrap();
        let watched = Watched::new("t", &path, Format::Texthash);
        assert!(watched.look(false));
        // Read while it was recent: it is read once more when it has settled, and then no more.
        look_until(&watched, true);
        assert!(!watched.look(true));
    }

    /// Looks, as if it were so much later than `start`, until the file's version has been read.
    fn look_later(watched: &Watched, start: Instant, later: Duration) -> bool {
        let stamp = Stamp::of(&std::fs::metadata(&watched.path).unwrap());
        loop {
            let changed = watched.look_at(start + later, true);
            if changed || watched.seen.lock().stamp == Some(stamp) {
                return changed;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_table_that_loses_nearly_all_is_in_force_after_a_minute_or_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let full = (0..20).map(|number| format!("user{number} x\n")).collect::<Vec<_>>().concat();
        let replace = |text: &str| {
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
        };
        let users = |watched: &Watched| watched.content().as_ref().map_or(0, |all| all.len());
        replace(&full);
        let watched = Watched::new("users", &path, Format::Texthash);
        assert!(watched.look(false));
        let start = Instant::now();
        for small in ["", "user0 x\nuser1 x\n"] {
            replace(small);
            wait_until_seen(&watched, start);
            assert_eq!(users(&watched), 20, "{small:?} is in force at once");
            // What comes in time is taken as usual, and the minute of the next begins anew.
            replace(&full);
            assert!(look_later(&watched, start, Duration::from_secs(59)));
            assert_eq!((users(&watched), watched.seen.lock().shrunk_since), (20, None));
        }
        // The minute counts from the first such version, whatever is written meanwhile.
        replace("");
        wait_until_seen(&watched, start);
        replace("user0 x\n");
        assert!(!look_later(&watched, start, Duration::from_secs(59)));
        assert!(look_later(&watched, start, SHRUNK_WAITS));
        assert_eq!(users(&watched), 1);
        // A reload doesn't wait, nor does a table that shrinks less.
        replace("");
        wait_until_seen(&watched, start);
        assert!(watched.look(false));
        assert_eq!(users(&watched), 0);
        replace(&full);
        look_until(&watched, true);
        replace("user0 x\nuser1 x\nuser2 x\n");
        look_until(&watched, true);
        assert_eq!(users(&watched), 3);
    }

    /// Until the watcher knows that the table has shrunk.
    fn wait_until_seen(watched: &Watched, at: Instant) {
        while watched.seen.lock().shrunk_since.is_none() {
            assert!(!watched.look_at(at, true), "it is in force at once");
            std::thread::yield_now();
        }
    }
}
