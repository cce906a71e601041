//! Body files that nothing names any more, removed when the spool is opened.

use std::collections::HashSet;
use std::path::Path;

use crate::SpoolError;
use crate::store::Store;

/// Body files whose names are read from the store at once while sweeping.
const SWEEP_PAGE: usize = 10_000;

/// Removes body files that no row names: a crash came between their sync and the commit, or
/// between a commit and the unlink. Only while nobody writes.
pub(crate) fn sweep(bodies: &Path, store: &dyn Store) -> Result<usize, SpoolError> {
    let failed = |error| SpoolError::io(bodies, error);
    let mut orphans = HashSet::new();
    for entry in std::fs::read_dir(bodies).map_err(failed)? {
        orphans.insert(entry.map_err(failed)?.file_name());
    }
    let mut after = String::new();
    while !orphans.is_empty() {
        let named = store.files(&after, SWEEP_PAGE)?;
        for name in &named {
            orphans.remove(std::ffi::OsStr::new(name));
        }
        match named.last() {
            Some(last) if named.len() == SWEEP_PAGE => after.clone_from(last),
            _ => break,
        }
    }
    for name in &orphans {
        let path = bodies.join(name);
        std::fs::remove_file(&path).map_err(|error| SpoolError::io(&path, error))?;
    }
    Ok(orphans.len())
}
