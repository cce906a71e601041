//! What is lent where nothing of a kind is.

/// Lends nothing: no name is known.
pub struct Nothing;
