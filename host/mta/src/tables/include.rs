//! Lists in files (`:include:`): their lines as they stand there. What a line is, is for the caller
//! to say.

use std::path::{Path, PathBuf};

use crate::whole;

/// No list of people is longer than this: some 500,000 addresses.
const MAX_FILE: u64 = 16 << 20;

/// A list that can't be read. It means "try later": an operator can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list {}: {reason}", file.display())]
pub struct IncludeError {
    /// The file.
    pub file: PathBuf,
    /// What the system says.
    pub reason: String,
}

/// Reads the lines of a list. What isn't UTF-8 in a line is a replacement character there, so that
/// the other lines stay good. An editor's byte order mark is not part of the first.
///
/// # Errors
/// The file can't be read, or is larger than 16 MiB.
pub fn read_include(path: &Path) -> Result<Vec<String>, IncludeError> {
    let bytes = whole::read_settled(path, MAX_FILE)
        .map_err(|error| IncludeError { file: path.to_owned(), reason: error.to_string() })?;
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    Ok(String::from_utf8_lossy(text).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_they_stand_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, b"\xEF\xBB\xBFlouen\r\n\ncaf\xE9\n  b, c").unwrap();
        assert_eq!(read_include(&path).unwrap(), ["louen", "", "caf\u{FFFD}", "  b, c"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read_include(Path::new("/nonexistent/list")).unwrap_err();
        assert!(
            error.to_string().starts_with("the list /nonexistent/list: No such file"),
            "{error}"
        );
    }
}
