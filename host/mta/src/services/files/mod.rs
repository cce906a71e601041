//! Folders of files that plugins may be granted, by name.
//!
//! A path never leads out of its folder, whatever links lie there: cap-std sees to that, with the
//! system's help. What is written takes the place of what was there as a whole. Files are read and
//! written on threads of their own, so many at once, since a disk may be slow.

mod folder;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use facteur_policy::{FileAnswer, FileError, FileInfo, Files};
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use crate::config;
use folder::Folder;

/// Files that are read or written at once: each takes a thread.
const AT_ONCE: usize = 16;

/// All folders of one configuration.
pub struct Folders {
    folders: HashMap<String, Arc<Folder>>,
    turns: Arc<Semaphore>,
}

impl Folders {
    /// Takes over from the configuration before what stays the same: what is known of its size.
    pub fn new(wanted: &BTreeMap<String, config::Folder>, before: Option<&Self>) -> Self {
        let kept = |name: &str, settings: &config::Folder| {
            before
                .and_then(|before| before.folders.get(name))
                .filter(|folder| folder.is(settings))
                .cloned()
        };
        let folder = |(name, settings): (&String, &config::Folder)| {
            (
                name.clone(),
                kept(name, settings).unwrap_or_else(|| Arc::new(Folder::new(settings.clone()))),
            )
        };
        let turns =
            before.map_or_else(|| Arc::new(Semaphore::new(AT_ONCE)), |before| before.turns.clone());
        Self { folders: wanted.iter().map(folder).collect(), turns }
    }

    /// Does it on a thread of its own, when there is one to be had.
    fn work<'a, T: Send + 'static>(
        &'a self,
        folder: &'a str,
        work: impl FnOnce(&Folder) -> Result<T, FileError> + Send + 'static,
    ) -> FileAnswer<'a, T> {
        async move {
            let Some(found) = self.folders.get(folder).cloned() else {
                return Err(FileError::UnknownFolder(folder.to_owned()));
            };
            // It is never closed, so that this is no error. The turn lasts as long as the work,
            // even if nobody waits for it any more.
            let turn = self.turns.clone().acquire_owned().await;
            let work = move || {
                let _turn = turn;
                work(&found)
            };
            let done = tokio::task::spawn_blocking(work).await;
            done.unwrap_or_else(|error| Err(FileError::Unavailable(error.to_string())))
        }
        .boxed()
    }
}

impl Files for Folders {
    fn is_folder(&self, name: &str) -> bool {
        self.folders.contains_key(name)
    }

    fn read<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        offset: u64,
        length: usize,
    ) -> FileAnswer<'a, Vec<u8>> {
        let path = path.to_owned();
        self.work(folder, move |folder| folder.read(&path, offset, length))
    }

    fn info<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, FileInfo> {
        let path = path.to_owned();
        self.work(folder, move |folder| folder.info(&path))
    }

    fn list<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        after: Option<&'a str>,
    ) -> FileAnswer<'a, Vec<String>> {
        let (path, after) = (path.to_owned(), after.map(str::to_owned));
        self.work(folder, move |folder| folder.list(&path, after.as_deref()))
    }

    fn write<'a>(&'a self, folder: &'a str, path: &'a str, content: Vec<u8>) -> FileAnswer<'a, ()> {
        let path = path.to_owned();
        self.work(folder, move |folder| folder.write(&path, &content))
    }

    fn remove<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, ()> {
        let path = path.to_owned();
        self.work(folder, move |folder| folder.remove(&path))
    }
}
