//! Lists in files (`:include:`): the entries as they stand there, in order. What an entry is, is
//! for the caller to say.

use std::path::{Path, PathBuf};

use super::lines::split_unquoted;
use crate::whole;

/// No list of people is longer than this: some 500,000 addresses.
const MAX_FILE: u64 = 16 << 20;

/// Why a list can't be read. All of them mean "try later": an operator can mend each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncludeError {
    /// The file can't be read.
    #[error("the list {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A line can't be understood.
    #[error("the list {}:{line}: {reason}", file.display())]
    Faulty {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Reads a list: one or several addresses a line, parted by commas; lines that begin with "#" are
/// comments. Quoted local parts stay whole.
///
/// # Errors
/// The file can't be read, is larger than 16 MiB, or has a line that can't be understood.
pub fn read_include(path: &Path) -> Result<Vec<String>, IncludeError> {
    let bytes = whole::read_settled(path, MAX_FILE).map_err(|error| IncludeError::Unreadable {
        file: path.to_owned(),
        reason: error.to_string(),
    })?;
    let faulty = |(line, reason)| IncludeError::Faulty { file: path.to_owned(), line, reason };
    entries(&bytes).map_err(faulty)
}

/// The entries, or the line that is wrong and why.
fn entries(bytes: &[u8]) -> Result<Vec<String>, (usize, &'static str)> {
    let mut entries = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.starts_with(b"#") {
            continue;
        }
        let mut rest = std::str::from_utf8(line).map_err(|_| (number, "not UTF-8 text"))?;
        if rest.contains('\0') {
            return Err((number, "a NUL byte"));
        }
        loop {
            let (entry, after) = split_unquoted(rest, |c| c == ',')
                .map_err(|()| (number, "a quotation mark isn't closed"))?;
            if !entry.trim().is_empty() {
                entries.push(entry.trim().to_owned());
            }
            let Some(after) = after else { break };
            rest = &after[1..];
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_whole() {
        let text = b"# one address a line\nlouen\r\n\n  a@x.fr, b@x.fr ,\n\"jean, du \
         bde\"@bde-ecp.com\n\"|/bin/x a, b\"\n# caf\xE9\n";
        let expected =
            ["louen", "a@x.fr", "b@x.fr", "\"jean, du bde\"@bde-ecp.com", "\"|/bin/x a, b\""];
        assert_eq!(entries(text).unwrap(), expected);
        assert_eq!(entries(b"a\n\"b\n"), Err((2, "a quotation mark isn't closed")));
        assert_eq!(entries(b"a\n\xFF\n"), Err((2, "not UTF-8 text")));
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
