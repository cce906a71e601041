//! A message as a plugin sees it and edits it: bytes read by ranges, and where its headers are.

mod body;
mod content;
mod edited;
mod edits;
mod encoded_words;
mod folding;
mod header;
mod index;
mod view;

pub use body::{Bodies, BodyError, NewBody};
pub use content::Content;
pub use edited::{Edited, Message};
pub(crate) use edits::{Draft, EditError};
pub(crate) use encoded_words::decode;
pub use folding::header_line;
pub(crate) use header::{check_name, fit};
