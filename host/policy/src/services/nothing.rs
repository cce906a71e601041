//! What is lent where nothing of a kind is.

/// Lends nothing: no name is known. (The time is, which is the machine's.)
pub struct Nothing;
