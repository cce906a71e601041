//! The operator's tables: named, in memory, and always as their files are.
//!
//! Files are watched: a change is in force within two seconds, without a command. A file that is
//! missing or broken leaves the last good version in force; a table that never was good can't be
//! asked, which means "try later" and never "not there". Asking is a look into memory and never
//! waits.

mod aliases;
mod cidr;
mod content;
mod error;
mod file;
mod include;
mod index;
mod lines;
mod mailboxes;
mod patterns;
mod regexp;
mod registry;
mod texthash;

pub use content::Found;
pub use error::{FindError, TableError};
pub use include::{IncludeError, read_include};
pub use mailboxes::{Mailbox, Mailboxes, Owner, Unavailable};
pub use registry::Tables;
