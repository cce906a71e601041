//! Files that are read when they changed, and exchanged when they are good; what is in force stays
//! as it was when they aren't.
//!
//! Changes are seen by polling `stat`, which works on every file system and for every way to write
//! a file. Invariants: what is in force was parsed without a fault from bytes that didn't change
//! while they were read; a version that is found faulty is not read again until it changes; the
//! same trouble is logged once. What the files mean is a [`Source`]'s to say.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;

use crate::whole::{self, Stamp, Whole};

/// How often files are looked at. A change is seen by the second look at the latest.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long a version waits that a source doubts ([`Source::doubts`]), unless it is read by a
/// reload: a revocation must take effect, too.
pub const DOUBTED_WAITS: Duration = Duration::from_secs(60);

/// Files that make one thing together, and what they mean.
pub trait Source: Send + Sync {
    /// What comes of a good version.
    type Content: Send + Sync;
    /// What may be wrong with one: place and remedy.
    type Fault: Clone + PartialEq + fmt::Display + Send;

    /// The largest file that is read, in bytes.
    const LIMIT: u64;

    /// The files.
    fn paths(&self) -> impl Iterator<Item = &Path>;

    /// The content, from the bytes of each file in the order of [`Self::paths`]. `before` is in
    /// force.
    ///
    /// # Errors
    /// All that is wrong.
    fn parse(
        &self,
        files: &[Vec<u8>],
        before: Option<&Self::Content>,
    ) -> Result<Self::Content, Vec<Self::Fault>>;

    /// A file that can't be read, and why.
    fn unreadable(&self, path: &Path, reason: String) -> Self::Fault;

    /// Whether `new` was hardly meant to take the place of `before`: then it waits for
    /// [`DOUBTED_WAITS`].
    fn doubts(&self, _before: &Self::Content, _new: &Self::Content) -> bool {
        false
    }

    /// Logs that this version waits.
    fn tell_doubt(&self, _new: &Self::Content) {}

    /// Logs that this version is in force.
    fn tell(&self, new: &Self::Content);
}

/// The files of a source, and what is in force of them.
pub struct Watched<S: Source> {
    /// What they mean.
    pub source: S,
    content: ArcSwapOption<S::Content>,
    seen: Mutex<Seen<S::Fault>>,
}

/// What was last seen of the files.
struct Seen<F> {
    /// Of the version that was last parsed, well or not.
    stamps: Vec<Stamp>,
    /// Whether that version was recent, so that another may hide behind the same stamps.
    recent: bool,
    /// Since when the version in the files has been doubted.
    doubted_since: Option<Instant>,
    /// What is wrong with the files now.
    trouble: Vec<F>,
}

impl<S: Source> Watched<S> {
    /// Files that nobody has looked at yet.
    pub fn new(source: S) -> Arc<Self> {
        let seen =
            Seen { stamps: Vec::new(), recent: false, doubted_since: None, trouble: Vec::new() };
        Arc::new(Self { source, content: ArcSwapOption::empty(), seen: Mutex::new(seen) })
    }

    /// The last good version, if there ever was one.
    pub fn content(&self) -> Guard<Option<Arc<S::Content>>> {
        self.content.load()
    }

    /// What is wrong with the files now.
    pub fn trouble(&self) -> Vec<S::Fault> {
        self.seen.lock().trouble.clone()
    }

    /// Looks whether a file changed. True if another version is in force now. `patient`: a version
    /// that may still be in the making is left to the next time, and one that is doubted waits.
    pub fn look(&self, patient: bool) -> bool {
        self.look_at(Instant::now(), patient)
    }

    fn look_at(&self, now: Instant, patient: bool) -> bool {
        let mut seen = self.seen.lock();
        let stamps = match self.stamps() {
            Ok(stamps) => stamps,
            Err(fault) => {
                // Whatever comes back is read anew.
                seen.stamps.clear();
                self.trouble_with(&mut seen, vec![fault]);
                return false;
            }
        };
        let has_waited = seen
            .doubted_since
            .is_some_and(|since| !patient || now.saturating_duration_since(since) >= DOUBTED_WAITS);
        if (seen.stamps == stamps && !seen.recent && !has_waited)
            || (patient && stamps.iter().any(Stamp::is_recent))
        {
            return false;
        }
        let files = match self.read() {
            Ok(files) => files,
            Err(fault) => {
                self.trouble_with(&mut seen, vec![fault]);
                return false;
            }
        };
        seen.stamps = files.iter().map(|file| file.stamp).collect();
        seen.recent = files.iter().any(|file| file.recent);
        let files: Vec<Vec<u8>> = files.into_iter().map(|file| file.bytes).collect();
        let before = self.content.load_full();
        let content = match self.source.parse(&files, before.as_deref()) {
            Ok(content) => content,
            Err(faults) => {
                seen.doubted_since = None;
                self.trouble_with(&mut seen, faults);
                return false;
            }
        };
        seen.trouble.clear();
        let doubted = before.is_some_and(|before| self.source.doubts(&before, &content));
        if patient && !has_waited && doubted {
            if seen.doubted_since.is_none() {
                seen.doubted_since = Some(now);
                self.source.tell_doubt(&content);
            }
            return false;
        }
        seen.doubted_since = None;
        self.source.tell(&content);
        self.content.store(Some(Arc::new(content)));
        true
    }

    fn stamps(&self) -> Result<Vec<Stamp>, S::Fault> {
        let stamp = |path: &Path| {
            let metadata = std::fs::metadata(path);
            metadata
                .map(|metadata| Stamp::of(&metadata))
                .map_err(|error| self.source.unreadable(path, error.to_string()))
        };
        self.source.paths().map(stamp).collect()
    }

    fn read(&self) -> Result<Vec<Whole>, S::Fault> {
        let read = |path: &Path| {
            whole::read(path, S::LIMIT)
                .map_err(|error| self.source.unreadable(path, error.to_string()))
        };
        self.source.paths().map(read).collect()
    }

    /// Notes what is wrong, and logs it if that is new.
    fn trouble_with(&self, seen: &mut Seen<S::Fault>, trouble: Vec<S::Fault>) {
        if seen.trouble == trouble {
            return;
        }
        let kept = if self.content.load().is_some() {
            "the last good version stays"
        } else {
            "it can't be used yet"
        };
        for fault in &trouble {
            tracing::error!("{fault} ({kept})");
        }
        seen.trouble = trouble;
    }
}

/// Starts a thread that looks again and again. It ends when nobody else holds what it looks at.
///
/// # Errors
/// The thread can't be had.
pub fn keep_looking<T: Send + Sync + 'static>(
    name: &str,
    of: Weak<T>,
    look: impl Fn(&T) + Send + 'static,
) -> std::io::Result<()> {
    let watch = move || {
        while let Some(watched) = of.upgrade() {
            look(&watched);
            drop(watched);
            std::thread::sleep(INTERVAL);
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(watch).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// One word a line; "broken" is a fault, and hardly any words are doubted.
    struct Words(Vec<PathBuf>);

    impl Source for Words {
        type Content = Vec<String>;
        type Fault = String;

        const LIMIT: u64 = 1 << 20;

        fn paths(&self) -> impl Iterator<Item = &Path> {
            self.0.iter().map(PathBuf::as_path)
        }

        fn parse(
            &self,
            files: &[Vec<u8>],
            _before: Option<&Vec<String>>,
        ) -> Result<Vec<String>, Vec<String>> {
            let text = String::from_utf8(files.concat()).unwrap();
            let words: Vec<String> = text.lines().map(str::to_owned).collect();
            match words.iter().position(|word| word == "broken") {
                Some(line) => Err(vec![format!("line {} is broken", line + 1)]),
                None => Ok(words),
            }
        }

        fn unreadable(&self, path: &Path, reason: String) -> String {
            format!("{}: {reason}", path.display())
        }

        fn doubts(&self, before: &Vec<String>, new: &Vec<String>) -> bool {
            new.len() < before.len() && new.len() <= before.len() / 10
        }

        fn tell(&self, _new: &Vec<String>) {}
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Another file in its place.
        fn replace(&self, name: &str, text: &str) {
            std::fs::write(self.path("new"), text).unwrap();
            std::fs::rename(self.path("new"), self.path(name)).unwrap();
        }

        fn watched(&self, names: &[&str]) -> Arc<Watched<Words>> {
            Watched::new(Words(names.iter().map(|name| self.path(name)).collect()))
        }
    }

    fn words(watched: &Watched<Words>) -> String {
        watched.content().as_ref().map_or_else(String::new, |words| words.join(" "))
    }

    /// Looks until the change is in force. A version counts once it is 100 ms old.
    fn look_until(watched: &Watched<Words>, what: bool) {
        let start = Instant::now();
        while watched.look(true) != what {
            assert!(start.elapsed() < Duration::from_secs(10), "the change was never seen");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_change_counts_and_a_broken_one_does_not() {
        let folder = Folder::new();
        let watched = folder.watched(&["a"]);
        assert!(!watched.look(false));
        assert!(watched.content().is_none());
        assert!(watched.trouble()[0].contains("/a: "), "{:?}", watched.trouble());

        std::fs::write(folder.path("a"), "one\n").unwrap();
        assert!(watched.look(false), "at the start nobody waits");
        assert_eq!(words(&watched), "one");

        std::fs::write(folder.path("a"), "two\nbroken\n").unwrap();
        let start = Instant::now();
        while watched.trouble().is_empty() {
            watched.look(true);
            assert!(start.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(watched.trouble(), ["line 2 is broken"]);
        assert_eq!(words(&watched), "one", "the last good one stays");

        // Same size, another file in its place.
        folder.replace("a", "two\nmended\n");
        look_until(&watched, true);
        assert_eq!(words(&watched), "two mended");
        assert!(watched.trouble().is_empty());

        std::fs::remove_file(folder.path("a")).unwrap();
        assert!(!watched.look(true));
        assert_eq!(words(&watched), "two mended");
        assert_eq!(watched.trouble().len(), 1);
    }

    #[test]
    fn a_version_behind_the_same_stamp_is_read_too() {
        let folder = Folder::new();
        folder.replace("a", "one\n");
        let watched = folder.watched(&["a"]);
        assert!(watched.look(false));
        // Read while it was recent: it is read once more when it has settled, and then no more.
        look_until(&watched, true);
        assert!(!watched.look(true));
    }

    #[test]
    fn several_files_are_one_version() {
        let folder = Folder::new();
        folder.replace("a", "one\n");
        folder.replace("b", "two\n");
        let watched = folder.watched(&["a", "b"]);
        assert!(watched.look(false));
        assert_eq!(words(&watched), "one two");
        folder.replace("b", "three\n");
        look_until(&watched, true);
        assert_eq!(words(&watched), "one three");
        std::fs::remove_file(folder.path("a")).unwrap();
        assert!(!watched.look(true));
        assert_eq!(words(&watched), "one three");
    }

    /// Looks, as if it were so much later than `start`, until the file's version has been read.
    fn look_later(watched: &Watched<Words>, start: Instant, later: Duration) -> bool {
        let stamps = watched.stamps().unwrap();
        loop {
            let changed = watched.look_at(start + later, true);
            if changed || watched.seen.lock().stamps == stamps {
                return changed;
            }
            std::thread::yield_now();
        }
    }

    /// Until the watcher doubts what is in the file.
    fn wait_until_seen(watched: &Watched<Words>, at: Instant) {
        while watched.seen.lock().doubted_since.is_none() {
            assert!(!watched.look_at(at, true), "it is in force at once");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_doubted_is_in_force_after_a_minute_or_a_reload() {
        let folder = Folder::new();
        let full = "word\n".repeat(20);
        let count =
            |watched: &Watched<Words>| watched.content().as_ref().map_or(0, |all| all.len());
        folder.replace("a", &full);
        let watched = folder.watched(&["a"]);
        assert!(watched.look(false));
        let start = Instant::now();
        for small in ["", "one\ntwo\n"] {
            folder.replace("a", small);
            wait_until_seen(&watched, start);
            assert_eq!(count(&watched), 20, "{small:?} is in force at once");
            // What comes in time is taken as usual, and the minute of the next begins anew.
            folder.replace("a", &full);
            assert!(look_later(&watched, start, Duration::from_secs(59)));
            assert_eq!((count(&watched), watched.seen.lock().doubted_since), (20, None));
        }
        // The minute counts from the first such version, whatever is written meanwhile.
        folder.replace("a", "");
        wait_until_seen(&watched, start);
        folder.replace("a", "one\n");
        assert!(!look_later(&watched, start, Duration::from_secs(59)));
        assert!(look_later(&watched, start, DOUBTED_WAITS));
        assert_eq!(count(&watched), 1);
        // A reload doesn't wait, nor does what isn't doubted.
        folder.replace("a", "");
        wait_until_seen(&watched, start);
        assert!(watched.look(false));
        assert_eq!(count(&watched), 0);
        folder.replace("a", &full);
        look_until(&watched, true);
        folder.replace("a", "one\ntwo\nthree\n");
        look_until(&watched, true);
        assert_eq!(count(&watched), 3);
    }
}
