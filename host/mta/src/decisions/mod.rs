//! What was decided, by whom and why: kept for a while, so that `facteur explain` can tell it.
//!
//! One record for each envelope (accepted, refused or left), for what was said to a client before
//! one, and for each attempt to deliver. They are written by a thread of their own into a bounded
//! row of files, without a sync: no mail waits for them, and a crash may cost the last ones. Under
//! more load than the disk takes, records are left out, and that is told. They outlive the message,
//! which the store forgets.

mod journal;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use journal::find;
pub use record::{Kind, Record};
pub use text::tell;
pub use writer::Decisions;

/// The folder of what was decided, in the spool.
pub const FOLDER: &str = "decisions";
