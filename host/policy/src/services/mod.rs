//! What the program lends to policy: tables, the DNS, mailboxes, lists, and what plugins are
//! granted by name.
//!
//! Policy knows no sockets and no files: it asks through these traits, one for each subject, and
//! tests hand in their own. Each failure is "try later"; absence is an answer, never an error.
//! All calls are bounded in time by the one who answers.

mod clock;
mod connect;
mod counters;
mod dns;
mod files;
mod lent;
mod mailboxes;
mod nothing;
mod overlay;
mod scanners;
mod simulation;
mod tables;
mod tape;
mod verify;

pub use clock::Clock;
pub use connect::{Connect, ConnectError, Ending, Step};
pub use counters::{Bucket, Count, Counters, Lifetime, Taken, UnknownStore};
pub use dns::{Dns, DnsAnswer, DnsError, MailExchanger};
pub use files::{FileAnswer, FileError, FileInfo, Files};
pub use lent::Services;
pub use mailboxes::{Lists, Mailboxes};
pub use nothing::Nothing;
pub use overlay::Overlay;
pub use scanners::{ScanError, Scanned, Scanners};
pub use tables::{Found, TableError, Tables};
pub use tape::{Tape, Taped};
pub use verify::{Verified, Verify};
