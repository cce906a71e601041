//! A message as a plugin sees it and edits it: bytes read by ranges, and where its headers are.

mod body;
mod content;
mod edited;
mod edits;
mod header;
mod index;
mod view;

pub use body::{Bodies, NewBody};
pub use content::Content;
pub use edited::{Edited, Message};
pub(crate) use edits::Draft;
pub(crate) use header::check as check_header;
pub use header::header_line;
pub(crate) use index::Index;
