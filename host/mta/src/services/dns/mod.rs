//! The DNS, asked by policy and by delivery.
//!
//! Names are absolute: search domains and the hosts file take no part, as with Postfix's own
//! `smtp_host_lookup = dns`. "No such name" and "nothing of this type" are only said when a server
//! said so. Everything else, a refusal and a server failure above all, is a failure: mail bounces
//! on the former and waits on the latter.

mod sockets;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use facteur_policy::{Dns, DnsAnswer, DnsError, MailExchanger};
use futures_util::FutureExt as _;
use futures_util::future::join;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::{DnsError as Answer, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf;

use crate::config;
use sockets::Sockets;

/// Answers kept in memory; a few KiB each at most.
const CACHE: u64 = 10_000;
/// Times a server is asked again after no answer, as the system's resolver does.
const ATTEMPTS: usize = 2;
/// Questions under way on one connection to a server: each waiting delivery and session has a few.
const UNDER_WAY: usize = 4096;
/// A whole lookup, with its attempts and the aliases that it follows, takes so many times the time
/// of one question.
const PATIENCE: u32 = 4;

/// All lookups of one attempt to deliver take so many times the time of one question: the MX
/// records, their hosts.
pub const ATTEMPT_PATIENCE: u32 = 6;

/// The resolver with its cache.
pub struct Resolver {
    inner: hickory_resolver::Resolver<Sockets>,
    /// Of a whole lookup.
    limit: Duration,
}

/// The resolver can't be set up.
#[derive(Debug, thiserror::Error)]
#[error("the DNS resolver can't be set up: {0}")]
pub struct ResolverError(String);

impl Resolver {
    /// A resolver that asks the configured servers, or the system's, with so many sockets at once.
    pub fn new(settings: &config::Dns, sockets: usize) -> Result<Self, ResolverError> {
        let (servers, mut options) = if settings.servers.is_empty() {
            system()
        } else {
            (settings.servers.clone(), ResolverOpts::default())
        };
        options.timeout = settings.timeout;
        options.attempts = ATTEMPTS;
        options.cache_size = CACHE;
        options.max_active_requests = UNDER_WAY;
        options.use_hosts_file = ResolveHosts::Never;
        let servers = servers.into_iter().map(name_server).collect();
        let config = ResolverConfig::from_name_servers(servers);
        let sockets = Sockets::new(sockets);
        let builder =
            hickory_resolver::Resolver::builder_with_config(config, sockets).with_options(options);
        let inner = builder.build().map_err(|error| ResolverError(error.to_string()))?;
        Ok(Self { inner, limit: settings.timeout * PATIENCE })
    }

    /// IPv4 and IPv6 addresses. If only one kind can be found out, that kind; a failure counts only
    /// if nothing was found.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let name = query_name(name)?;
        let (ipv6, ipv4) =
            join(self.lookup(&name, RecordType::AAAA), self.lookup(&name, RecordType::A)).await;
        both(ipv4, ipv6).map(|records| {
            let address = |record| match record {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            };
            records.into_iter().filter_map(address).collect()
        })
    }

    /// MX records, lowest preference first; never the implicit one. The host "." is a null MX (RFC
    /// 7505).
    pub async fn mail_exchangers(&self, name: &str) -> Result<Vec<MailExchanger>, DnsError> {
        let records = self.lookup(&query_name(name)?, RecordType::MX).await?;
        let exchanger = |record| match record {
            RData::MX(mx) => {
                Some(MailExchanger { preference: mx.preference, host: host_name(&mx.exchange) })
            }
            _ => None,
        };
        let mut found: Vec<_> = records.into_iter().filter_map(exchanger).collect();
        found.sort_by_key(|exchanger| exchanger.preference);
        Ok(found)
    }

    /// TXT records; the strings of one are joined (RFC 7208 section 3.3).
    pub async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        let records = self.lookup(&query_name(name)?, RecordType::TXT).await?;
        let text = |record| match record {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        };
        Ok(records.into_iter().filter_map(text).collect())
    }

    /// NS records.
    pub async fn name_servers(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let records = self.lookup(&query_name(name)?, RecordType::NS).await?;
        let server = |record| match record {
            RData::NS(server) => Some(host_name(&server.0)),
            _ => None,
        };
        Ok(records.into_iter().filter_map(server).collect())
    }

    /// PTR records, unverified.
    pub async fn names_of(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        let records = self.lookup(&Name::from(address.to_canonical()), RecordType::PTR).await?;
        let name = |record| match record {
            RData::PTR(name) => Some(host_name(&name.0)),
            _ => None,
        };
        Ok(records.into_iter().filter_map(name).collect())
    }

    /// The records of this type; at least one.
    async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Vec<RData>, DnsError> {
        let answer =
            match tokio::time::timeout(self.limit, self.inner.lookup(name.clone(), kind)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    let mapped = failure(&error);
                    if mapped.is_transient() {
                        tracing::debug!(%name, %kind, %error, "the DNS gave no answer");
                    }
                    return Err(mapped);
                }
                Err(_) => return Err(DnsError::Timeout),
            };
        let records: Vec<_> = answer
            .answers()
            .iter()
            .filter(|record| record.record_type() == kind)
            .map(|record| record.data.clone())
            .collect();
        if records.is_empty() { Err(absence(answer.message().response_code)) } else { Ok(records) }
    }
}

impl Dns for Resolver {
    fn addresses<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<IpAddr>> {
        Self::addresses(self, name).boxed()
    }

    fn mail_exchangers<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<MailExchanger>> {
        Self::mail_exchangers(self, name).boxed()
    }

    fn texts<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<Vec<u8>>> {
        Self::texts(self, name).boxed()
    }

    fn name_servers<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<String>> {
        Self::name_servers(self, name).boxed()
    }

    fn names_of(&self, address: IpAddr) -> DnsAnswer<'_, Vec<String>> {
        Self::names_of(self, address).boxed()
    }
}

/// The servers and options of `resolv.conf`; where there is none, a server on this host, as the
/// system's resolver has it.
fn system() -> (Vec<SocketAddr>, ResolverOpts) {
    match system_conf::read_system_conf() {
        Ok((config, options)) if !config.name_servers().is_empty() => {
            let address = |server: &NameServerConfig| {
                let port =
                    server.connections.first().map_or(DNS_PORT, |connection| connection.port);
                SocketAddr::new(server.ip, port)
            };
            (config.name_servers().iter().map(address).collect(), options)
        }
        read => {
            if let Err(error) = read {
                tracing::warn!(%error, "the system's DNS servers can't be read; a server on this \
                 host is asked");
            }
            (vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DNS_PORT)], ResolverOpts::default())
        }
    }
}

/// The port of the DNS (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// Asked by UDP, and by TCP where an answer was truncated.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .collect();
    server
}

/// A name as the DNS is asked for it: absolute, in A-labels.
fn query_name(name: &str) -> Result<Name, DnsError> {
    let ascii = ascii_name(name).ok_or(DnsError::InvalidName)?;
    let mut name = Name::from_ascii(ascii).map_err(|_| DnsError::InvalidName)?;
    name.set_fqdn(true);
    Ok(name)
}

/// The A-labels of a domain name, without a final dot. None: it is no domain name.
pub fn ascii_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    // What the text form of a name gives a meaning of its own is in no name that mail knows.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"();@$".contains(&byte);
    let ascii = if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(name).ok()?
    };
    let fits = ascii.split('.').all(|label| (1..=facteur_smtp::MAX_LABEL).contains(&label.len()));
    (fits && ascii.len() <= facteur_smtp::MAX_DOMAIN && ascii.bytes().all(is_plain))
        .then_some(ascii)
}

/// Lower-case without the final dot; the root stays ".".
fn host_name(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(host) => host.to_owned(),
    }
}

/// Two kinds of records of one name as one answer.
fn both(
    one: Result<Vec<RData>, DnsError>,
    other: Result<Vec<RData>, DnsError>,
) -> Result<Vec<RData>, DnsError> {
    match (one, other) {
        (Ok(mut one), Ok(other)) => {
            one.extend(other);
            Ok(one)
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(one), Err(other)) => {
            Err(if one.is_transient() || other == DnsError::NoData { one } else { other })
        }
    }
}

fn failure(error: &NetError) -> DnsError {
    match error {
        NetError::Timeout => DnsError::Timeout,
        NetError::Dns(Answer::NoRecordsFound(nothing)) => absence(nothing.response_code),
        _ => DnsError::ServerFailure,
    }
}

/// What an answer without the records means, by its code.
fn absence(code: ResponseCode) -> DnsError {
    match code {
        ResponseCode::NXDomain => DnsError::NoSuchName,
        ResponseCode::NoError => DnsError::NoData,
        _ => DnsError::ServerFailure,
    }
}
