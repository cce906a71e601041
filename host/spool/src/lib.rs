//! The durable queue store.
//!
//! Whoever hands a message to [`Spool::insert`] hears back once it is on the disk, and not before.
//! All writes go through one committer thread, which gathers whatever waits and makes one commit,
//! so one sync, for all of it.
//!
//! The rooms, along the way of a message:
//! - **What is stored** (`message`, `id`, `body`): a [`NewMessage`] with its [`MessageHead`] and
//!   the [`RecipientHead`] of each recipient; a large body is a file beside the database.
//! - **The door** (`spool`, `inbox`): [`Spool`] puts writes where the committer finds them, and
//!   reads off the event loop.
//! - **The committer**: gathers, commits, answers; looks after the room on the disk (`disk_space`).
//! - **The database** (`store`, `sqlite`): the trait that the committer speaks to, and SQLite.
//! - **The folder** (`folder`, `sweep`): whose it is, whether it ended well, files without a row.
//!
//! Begin with [`Spool::insert`] and [`Spool::record`].
//!
//! What always holds:
//! - A message is in the store whole (envelope, header, body) or not at all.
//! - The file of a large body, and its name in the directory, are synced before the row that names
//!   it is committed; it is unlinked only after the commit that removes that row. So a row's file
//!   is there; files without a row are swept when the spool is opened.
//! - After an error of commit, checkpoint or sync nothing more is written: the kernel may have
//!   dropped the pages and would say "ok" next time. [`Spool::failed`] tells the program, which
//!   ends; the next open checks the store.
//! - A full disk is no such error: it is rolled back, answered [`SpoolError::Full`], and passes.
//!
//! It does not decide anything: when a recipient is tried again, what a bounce says and who may
//! delete is for the caller. A PostgreSQL store for clusters is meant to stand behind the same
//! `Store` trait.

#![forbid(unsafe_code)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "keys have at most 60 bits, times 63; sizes are those of files and of memory; \
     SQLite's integers are signed"
)]
#![allow(clippy::doc_markdown, reason = "SQLite is a name, not code")]

mod body;
mod committer;
mod disk_space;
mod error;
mod folder;
mod id;
mod inbox;
mod message;
mod spool;
mod sqlite;
mod store;
mod sweep;

#[cfg(test)]
mod tests;

pub use body::{Body, BodyReader, BodyWriter, NewBody, SMALL_BODY};
pub use error::SpoolError;
pub use id::{
    MAX_RECIPIENTS, MessageId, NoRandomNumbers, ParseIdError, QueueId, RecipientId, Timestamp,
};
pub use message::{
    Client, Destination, Due, DueRecipient, End, Hold, Message, MessageHead, NewMessage, Queued,
    Recipient, RecipientHead, RecipientState, RecipientUpdate, Selection, Summary,
    SummaryRecipient, Target, Update,
};
pub use spool::{Spool, SpoolConfig};
