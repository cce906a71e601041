//! Something that can't be asked or read now.

use serde::{Deserialize, Serialize};

/// Something that can't be asked now. The text names it and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct Unavailable(pub String);
