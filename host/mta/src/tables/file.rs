//! One table in a file, watched: how a version is read, and which is doubted.
//!
//! A version that has lost nearly all entries waits for a while: it is what `generate > table`
//! looks like when it fails or isn't done.

use std::path::{Path, PathBuf};

use super::content::Content;
use super::error::TableError;
use crate::config::Format;
use crate::watch::{DOUBTED_WAITS, Source};

/// A table that shrinks to so small a part at once, or to nothing, was hardly meant to.
const TENTH: usize = 10;
/// Faults of one file that are told; the mend of the first few shows the others.
const MAX_TOLD: usize = 20;

/// A table in a file.
pub(super) struct TableFile {
    pub name: String,
    pub path: PathBuf,
    pub format: Format,
}

impl Source for TableFile {
    type Content = Content;
    type Fault = TableError;

    /// A table must fit into memory, and its text into 32-bit offsets.
    const LIMIT: u64 = 1 << 30;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path())
    }

    fn parse(
        &self,
        files: &[Vec<u8>],
        _before: Option<&Content>,
    ) -> Result<Content, Vec<TableError>> {
        let bytes = files.first().map_or(&[][..], Vec::as_slice);
        let (content, remarks) = Content::parse(self.format, bytes);
        if !remarks.faults.is_empty() {
            let told = remarks.faults.into_iter().take(MAX_TOLD);
            return Err(told.map(|fault| self.error(Some(fault.line), fault.reason)).collect());
        }
        for warning in remarks.warnings.into_iter().take(MAX_TOLD) {
            tracing::warn!("{}", self.error(Some(warning.line), warning.reason));
        }
        Ok(content)
    }

    fn unreadable(&self, _path: &Path, reason: String) -> TableError {
        self.error(None, reason)
    }

    /// Whether hardly anything is left.
    fn doubts(&self, before: &Content, new: &Content) -> bool {
        new.len() < before.len() && new.len() <= before.len() / TENTH
    }

    fn tell_doubt(&self, new: &Content) {
        tracing::warn!(
            table = self.name, file = %self.path.display(), entries = new.len(),
            "the table has lost nearly all its entries: the version before stays for {} s; \
             `facteur reload` puts this one in force now", DOUBTED_WAITS.as_secs()
        );
    }

    fn tell(&self, new: &Content) {
        tracing::info!(
            table = self.name, file = %self.path.display(), entries = new.len(), "table read"
        );
    }
}

impl TableFile {
    fn error(&self, line: Option<usize>, reason: String) -> TableError {
        TableError { table: self.name.clone(), file: self.path.clone(), line, reason }
    }
}
