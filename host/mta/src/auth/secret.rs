//! A number that nobody outside knows, kept in the spool: what is made up for users who aren't
//! there follows from it, and is the same after a restart.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scram::mac;

/// The file's name.
const FILE: &str = "auth.secret";
/// Its octets: as many as those of the hash that it goes into.
const LENGTH: usize = 32;

/// It can't be had.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", .file.display())]
pub struct SecretError {
    file: PathBuf,
    error: io::Error,
}

/// The number. Cheap to clone; never shown.
#[derive(Clone)]
pub struct Secret(Arc<[u8; LENGTH]>);

impl Secret {
    /// For this process alone.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn random() -> io::Result<Self> {
        let mut octets = [0; LENGTH];
        getrandom::fill(&mut octets)?;
        Ok(Self(Arc::new(octets)))
    }

    /// The one in this folder; made if there is none. Blocks.
    ///
    /// # Errors
    /// The file can't be read or written, or is none of ours.
    pub fn open(folder: &Path) -> Result<Self, SecretError> {
        let file = folder.join(FILE);
        Self::read_or_make(&file).map_err(|error| SecretError { file, error })
    }

    fn read_or_make(file: &Path) -> io::Result<Self> {
        match fs::File::open(file) {
            Ok(mut opened) => {
                let mut octets = [0; LENGTH];
                opened.read_exact(&mut octets)?;
                Ok(Self(Arc::new(octets)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Self::random()?;
                // A whole one takes the name, so that a crash leaves none or one.
                let new = file.with_extension("new");
                let mut options = OpenOptions::new();
                let mut opened =
                    options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
                opened.write_all(&*made.0)?;
                opened.sync_all()?;
                fs::rename(&new, file)?;
                Ok(made)
            }
            Err(error) => Err(error),
        }
    }

    /// Octets that belong to a name.
    pub(super) fn seed(&self, name: &str) -> [u8; LENGTH] {
        mac(&*self.0, &[name.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_stays_the_same_and_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let seed = |folder: &Path| Secret::open(folder).unwrap().seed("name");
        assert_eq!(seed(folder.path()), seed(folder.path()));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(seed(folder.path()), seed(tempfile::tempdir().unwrap().path()));
        fs::write(folder.path().join(FILE), "short").unwrap();
        let error = Secret::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains(FILE), "{error}");
    }
}
