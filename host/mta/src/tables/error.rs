//! Why a table gives no answer, and what is wrong with its file.

use std::path::PathBuf;

/// Why a table gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// No table has this name.
    #[error("there is no such table")]
    Unknown,
    /// It can't be asked now: try later.
    #[error("{0}")]
    Unavailable(String),
}

/// What is wrong with a table's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table \"{table}\": {}{}: \
 {reason}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct TableError {
    /// The table's name.
    pub table: String,
    /// Its file.
    pub file: PathBuf,
    /// From 1, where it is about a line.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}
