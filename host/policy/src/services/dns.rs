//! The DNS.

use std::net::IpAddr;

use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};

use super::nothing::Nothing;

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

/// An answer of the DNS that may take a while.
pub type DnsAnswer<'a, T> = BoxFuture<'a, Result<T, DnsError>>;

/// Asks the DNS. A question that isn't answered has failed, and may be asked again.
pub trait Dns: Send + Sync {
    /// IPv4 and IPv6 addresses of a name.
    fn addresses<'a>(&'a self, _name: &'a str) -> DnsAnswer<'a, Vec<IpAddr>> {
        unanswered()
    }

    /// MX records, lowest preference first; never the implicit one.
    fn mail_exchangers<'a>(&'a self, _name: &'a str) -> DnsAnswer<'a, Vec<MailExchanger>> {
        unanswered()
    }

    /// TXT records.
    fn texts<'a>(&'a self, _name: &'a str) -> DnsAnswer<'a, Vec<Vec<u8>>> {
        unanswered()
    }

    /// NS records.
    fn name_servers<'a>(&'a self, _name: &'a str) -> DnsAnswer<'a, Vec<String>> {
        unanswered()
    }

    /// PTR records, unverified.
    fn names_of(&self, _address: IpAddr) -> DnsAnswer<'_, Vec<String>> {
        unanswered()
    }
}

fn unanswered<T: Send + 'static>() -> DnsAnswer<'static, T> {
    Box::pin(ready(Err(DnsError::ServerFailure)))
}

impl Dns for Nothing {}
