//! Who has a mailbox on this machine, and who stands in a list (`:include:`).

use std::path::Path;

use facteur_smtp::Address;
use futures_util::future::{BoxFuture, ready};

use super::nothing::Nothing;
use crate::unavailable::Unavailable;

/// Knows the mailboxes.
pub trait Mailboxes: Send + Sync {
    /// Whether the mailbox of this address is there.
    fn exists<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>>;
}

/// Reads lists.
pub trait Lists: Send + Sync {
    /// The lines of a list, as they stand in its file.
    fn lines<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>>;
}

impl Mailboxes for Nothing {
    fn exists<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(ready(Err(Unavailable("nobody knows the mailboxes".to_owned()))))
    }
}

impl Lists for Nothing {
    fn lines<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        Box::pin(ready(Err(Unavailable(format!("nobody reads {}", path.display())))))
    }
}
