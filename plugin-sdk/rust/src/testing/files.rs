//! Folders, in memory. Each may be read and written.

use std::collections::{BTreeMap, HashMap};

use super::{Host, ask};
use crate::Error;
use crate::files::Entry;

/// As many names as the contract gives at once.
const NAMES: usize = 256;

#[derive(Clone, Default)]
pub(super) struct Folders(HashMap<String, Folder>);

/// Files by their path: when each was written, in milliseconds, and what it holds.
type Folder = BTreeMap<String, (u64, Vec<u8>)>;

impl Host {
    /// A folder, and the paths and contents of its files.
    #[must_use]
    pub fn folder(self, name: &str, files: &[(&str, &[u8])]) -> Self {
        self.with(|state| {
            let now = state.simple.now;
            let files = files
                .iter()
                .map(|(path, content)| ((*path).to_owned(), (now, content.to_vec())))
                .collect();
            state.folders.0.insert(name.to_owned(), files);
        })
    }
}

fn within<T>(
    folder: &str,
    question: impl FnOnce(&mut Folder, u64) -> Result<T, Error>,
) -> Result<T, Error> {
    ask(|state| {
        let now = state.simple.now;
        match state.folders.0.get_mut(folder) {
            Some(folder) => question(folder, now),
            None => Err(Error::UnknownName(format!("[folders.{folder}]"))),
        }
    })
}

pub fn check(folder: &str, _: bool) -> Result<(), Error> {
    within(folder, |_, _| Ok(()))
}

pub fn read(folder: &str, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
    within(folder, |files, _| {
        let (_, content) = files.get(path).ok_or(Error::NotFound)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(content.iter().skip(offset).take(length as usize).copied().collect())
    })
}

pub fn info(folder: &str, path: &str) -> Result<Entry, Error> {
    within(folder, |files, _| {
        if let Some((modified, content)) = files.get(path) {
            let size = content.len() as u64;
            return Ok(Entry { size, modified: *modified, is_folder: false });
        }
        let below = format!("{path}/");
        let is_folder = path.is_empty() || files.keys().any(|path| path.starts_with(&below));
        if is_folder { Ok(Entry { size: 0, modified: 0, is_folder }) } else { Err(Error::NotFound) }
    })
}

pub fn names(folder: &str, path: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    within(folder, |files, _| {
        let mut names: Vec<String> = files
            .keys()
            .filter_map(|path| path.strip_prefix(&below))
            .map(|rest| rest.split_inclusive('/').next().unwrap_or_default().to_owned())
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        names.sort();
        names.dedup();
        names.truncate(NAMES);
        Ok(names)
    })
}

pub fn write(folder: &str, path: &str, content: &[u8]) -> Result<(), Error> {
    within(folder, |files, now| {
        files.insert(path.to_owned(), (now, content.to_vec()));
        Ok(())
    })
}

pub fn remove(folder: &str, path: &str) -> Result<(), Error> {
    within(folder, |files, _| files.remove(path).map(|_| ()).ok_or(Error::NotFound))
}

#[cfg(test)]
mod tests {
    use crate::testing::Host;
    use crate::{Error, files};

    #[test]
    fn what_is_written_is_read_and_listed() {
        let host = Host::new().folder("f", &[("a/one", b"1"), ("a/two", b"22"), ("b", b"")]);
        host.run(|| {
            assert_eq!(files::names("f", "", None), Ok(vec!["a/".to_owned(), "b".to_owned()]));
            assert_eq!(files::names("f", "a", Some("one")), Ok(vec!["two".to_owned()]));
            files::write("f", "c", b"hello").unwrap();
            assert_eq!(files::read("f", "c", 1, 3), Ok(b"ell".to_vec()));
            assert_eq!(files::info("f", "c").map(|entry| entry.size), Ok(5));
            assert!(files::info("f", "a").is_ok_and(|entry| entry.is_folder));
            files::remove("f", "c").unwrap();
            assert_eq!(files::read("f", "c", 0, 1), Err(Error::NotFound));
            assert!(files::check("g", false).is_err());
        });
    }
}
