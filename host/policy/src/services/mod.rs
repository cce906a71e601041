//! What the program lends to policy: tables, the DNS, mailboxes, lists.
//!
//! Policy knows no sockets and no files: it asks through these traits, and tests hand in their own.
//! Each failure is "try later"; absence is an answer, never an error.
//!
//! What the host itself asks (tables, the DNS, mailboxes, lists) stands in [`Services`]; what only
//! plugins ask stands in a trait for each subject, which a program that lends nothing of the kind
//! leaves out.

mod connect;
mod counters;
mod files;
mod nothing;
mod overlay;
mod rehearsal;
mod scanners;
mod tape;
mod verify;

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use facteur_smtp::Address;
use futures_util::future::BoxFuture;

pub use connect::{Connect, ConnectError, Ending, Step};
pub use counters::{Bucket, Count, Counters, Lifetime, Taken, UnknownStore};
pub use files::{FileAnswer, FileError, FileInfo, Files};
pub use nothing::Nothing;
pub use overlay::Overlay;
pub use rehearsal::Rehearsal;
pub use scanners::{ScanError, Scanned, Scanners};
pub use tape::{Tape, Taped};
pub use verify::{Verified, Verify};

/// Something that can't be asked now. The text names it and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Why a table gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TableError {
    /// No table has this name.
    #[error("there is no table \"{0}\"")]
    Unknown(String),
    /// It can't be asked now.
    #[error("the table can't be asked: {0}")]
    Unavailable(String),
}

/// What a table has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Which of the keys it was, from 0.
    pub key: usize,
    /// The value.
    pub value: String,
}

/// Why the DNS gave no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum DnsError {
    /// NXDOMAIN.
    #[error("no such name")]
    NoSuchName,
    /// The name has nothing of this type.
    #[error("no data of this type")]
    NoData,
    /// Not a domain name.
    #[error("not a domain name")]
    InvalidName,
    /// No answer in time.
    #[error("timeout")]
    Timeout,
    /// The servers failed.
    #[error("server failure")]
    ServerFailure,
}

impl DnsError {
    /// Whether asking again later may help.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::ServerFailure)
    }
}

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailExchanger {
    /// Lowest first.
    pub preference: u16,
    /// "." is a null MX (RFC 7505).
    pub host: String,
}

/// What policy asks of the program. All calls are bounded in time by the one who answers.
pub trait Services: Send + Sync + 'static {
    /// The first of the keys that the table has; see `lookup.find` in the contract.
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>>;

    /// Grows whenever any table changed: what was made of the tables before is then stale.
    fn generation(&self) -> u64;

    /// Whether what is asked of them is asked for real. In a rehearsal it isn't, and no plugin has
    /// services of its own.
    fn are_real(&self) -> bool {
        true
    }

    /// Milliseconds since 1970-01-01, UTC.
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// IPv4 and IPv6 addresses of a name.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;

    /// MX records, lowest preference first; never the implicit one.
    fn mail_exchangers<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MailExchanger>, DnsError>>;

    /// TXT records.
    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>>;

    /// NS records.
    fn name_servers<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>>;

    /// PTR records, unverified.
    fn names_of(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>>;

    /// Whether the mailbox of this address is there.
    fn mailbox<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>>;

    /// The lines of a list (`:include:`), as they stand in its file.
    fn include<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>>;

    /// The virus scanners.
    fn scanners(&self) -> &dyn Scanners {
        &Nothing
    }

    /// The stores of counters.
    fn counters(&self) -> &dyn Counters {
        &Nothing
    }

    /// The folders of files.
    fn files(&self) -> &dyn Files {
        &Nothing
    }

    /// Who talks to other programs.
    fn connect(&self) -> &dyn Connect {
        &Nothing
    }

    /// Who asks other servers about addresses.
    fn verify(&self) -> &dyn Verify {
        &Nothing
    }
}
