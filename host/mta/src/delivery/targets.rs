//! Where a next hop is: its MX hosts in order of preference, or its own addresses.
//!
//! The list never leads back to this host (RFC 5321 section 5.1): from our own place in it on, it
//! is cut, and where we are the best there is, the mail loops. Hosts of equal preference come in
//! random order. Temporary trouble with the DNS is never a reason to fail.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use facteur_policy::{Dns, DnsError, SmtpRoute};
use facteur_smtp::Reply;
use facteur_smtp::status::{self, Detail};
use tokio::time::{Instant, timeout_at};

use crate::services::dns::ascii_name;

/// Addresses tried in one attempt at most (Postfix's `smtp_mx_address_limit`).
pub const ADDRESS_LIMIT: usize = 5;
/// MX hosts of one domain that are looked up at most.
const HOST_LIMIT: usize = 50;
/// The port that the DNS means (RFC 5321 section 4.5.4.2).
const SMTP_PORT: u16 = 25;

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host's name, or the address where only that is known.
    pub host: String,
    /// Where.
    pub address: SocketAddr,
    /// That of its MX record; 0 without.
    pub preference: u16,
    /// Which of the route's next hops it belongs to.
    pub hop: usize,
}

/// Why there is nothing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nowhere {
    /// The outcome of all recipients.
    pub reply: Reply,
    /// Whether that is a definite answer about the destination; otherwise it couldn't be found out.
    pub definite: bool,
}

impl Nowhere {
    fn definite(code: u16, detail: Detail, text: String) -> Self {
        Self { reply: Reply::new(code, detail, text), definite: true }
    }

    fn unknown(detail: Detail, text: String) -> Self {
        Self { reply: Reply::new(450, detail, text), definite: false }
    }

    /// As Postfix words it.
    fn dns(name: &str, kind: &str, error: DnsError) -> Self {
        let why = match error {
            DnsError::NoSuchName => "Host not found",
            DnsError::NoData => "Host found but no data record of requested type",
            DnsError::InvalidName => {
                return Self::definite(
                    550,
                    status::BAD_SYSTEM,
                    format!("\"{name}\" is not a domain name"),
                );
            }
            DnsError::Timeout | DnsError::ServerFailure => "Host not found, try again",
        };
        let text = format!(
            "Host or domain name not found. Name service error for name={name} type={kind}: {why}"
        );
        if error.is_transient() {
            Self::unknown(status::DIRECTORY_FAILURE, text)
        } else {
            Self::definite(550, status::NO_ROUTE, text)
        }
    }
}

/// What is ourselves.
pub struct Own<'a> {
    /// This host's name.
    pub hostname: &'a str,
    /// Where this program listens.
    pub listening: &'a [SocketAddr],
}

impl Own<'_> {
    /// A name says it only where the port may be ours.
    fn is_name(&self, host: &str, port: u16) -> bool {
        host.eq_ignore_ascii_case(self.hostname)
            && (port == SMTP_PORT || self.listening.iter().any(|own| own.port() == port))
    }

    fn is_address(&self, address: SocketAddr) -> bool {
        self.listening.iter().filter(|own| own.port() == address.port()).any(|own| {
            let covers = own.ip().is_unspecified() && (own.is_ipv6() || address.is_ipv4());
            own.ip() == address.ip() || covers && is_local(address.ip())
        })
    }
}

/// Whether an address is one of this host's: only to those can a socket be bound.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Finds the addresses to try, best first: of each next hop at most [`ADDRESS_LIMIT`]. What the DNS
/// hasn't said by the deadline it doesn't say.
pub async fn find(
    route: &SmtpRoute,
    own: &Own<'_>,
    names: &dyn Dns,
    deadline: Instant,
) -> Result<Vec<Target>, Nowhere> {
    let (mut found, mut nowhere) = (Vec::new(), None::<Nowhere>);
    for (hop, one) in route.hops().enumerate() {
        let part = part_of(deadline, route.hops().count() - hop);
        match find_hop(one, own, names, part).await {
            Ok(targets) => found.extend(targets.into_iter().map(|target| Target { hop, ..target })),
            // What may pass stands before what won't.
            Err(error) => {
                if nowhere.as_ref().is_none_or(|known| known.definite) {
                    nowhere = Some(error);
                }
            }
        }
    }
    match nowhere {
        Some(nowhere) if found.is_empty() => Err(nowhere),
        _ => Ok(found),
    }
}

async fn find_hop(
    route: &SmtpRoute,
    own: &Own<'_>,
    names: &dyn Dns,
    deadline: Instant,
) -> Result<Vec<Target>, Nowhere> {
    let (host, mx) = match literal(&route.host) {
        Literal::Address(address) => return at(&address.to_string(), [address], route, own),
        Literal::Host(host) => (host, false),
        Literal::None => (&*route.host, route.mx),
    };
    let Some(name) = ascii_name(host) else {
        return Err(Nowhere::dns(host, "MX", DnsError::InvalidName));
    };
    if mx {
        match by(deadline, names.mail_exchangers(&name)).await {
            Ok(exchangers) if !exchangers.is_empty() => {
                let exchangers = exchangers.into_iter().map(|mx| (mx.preference, mx.host));
                return exchange(&name, exchangers.collect(), route, own, names, deadline).await;
            }
            // The implicit MX (RFC 5321 section 5.1).
            Ok(_) | Err(DnsError::NoData) => {}
            Err(error) => return Err(Nowhere::dns(&name, "MX", error)),
        }
    }
    let found = by(deadline, names.addresses(&name)).await;
    let found = found.map_err(|error| Nowhere::dns(&name, "A", error))?;
    at(&name, found, route, own)
}

/// What the DNS says, if it says it by then.
async fn by<T>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, DnsError>>,
) -> Result<T, DnsError> {
    timeout_at(deadline, answer).await.unwrap_or(Err(DnsError::Timeout))
}

/// The end of the part that the first of so many has of the time that is left: so the last is asked
/// for as well, however many before it never answer.
fn part_of(deadline: Instant, waiting: usize) -> Instant {
    let now = Instant::now();
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / waiting
}

/// The form of a host in a route.
enum Literal<'a> {
    Address(IpAddr),
    /// A name in brackets: no MX.
    Host(&'a str),
    None,
}

fn literal(host: &str) -> Literal<'_> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let text = inner.unwrap_or(host);
    let text = match text.split_at_checked("IPv6:".len()) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("IPv6:") => rest,
        _ => text,
    };
    match (text.parse::<IpAddr>(), inner) {
        (Ok(address), _) => Literal::Address(address.to_canonical()),
        (Err(_), Some(inner)) => Literal::Host(inner),
        (Err(_), None) => Literal::None,
    }
}

/// The targets of one host without MX records.
fn at(
    host: &str,
    addresses: impl IntoIterator<Item = IpAddr>,
    route: &SmtpRoute,
    own: &Own<'_>,
) -> Result<Vec<Target>, Nowhere> {
    let found = usable(host, 0, addresses, route);
    if found.is_empty() {
        return Err(unusable(host, route));
    }
    if own.is_name(host, route.port) || found.iter().any(|target| own.is_address(target.address)) {
        return Err(loops(host));
    }
    Ok(choose(found))
}

fn loops(name: &str) -> Nowhere {
    Nowhere { reply: Reply::loops_back(name), definite: true }
}

/// There are addresses, but none that can be connected to.
fn unusable(host: &str, route: &SmtpRoute) -> Nowhere {
    let text = match route.source {
        Some(source) => {
            format!("{host} has no address that can be reached from the source address {source}")
        }
        None => format!("{host} has no valid address"),
    };
    Nowhere::unknown(status::NO_ROUTE, text)
}

/// The targets of a domain with MX records, which come with the lowest preference first.
async fn exchange(
    domain: &str,
    exchangers: Vec<(u16, String)>,
    route: &SmtpRoute,
    own: &Own<'_>,
    names: &dyn Dns,
    deadline: Instant,
) -> Result<Vec<Target>, Nowhere> {
    if exchangers.iter().all(|(_, host)| host == ".") {
        return Err(Nowhere::definite(
            556,
            status::NULL_MX,
            format!("Domain {domain} does not accept mail (nullMX)"),
        ));
    }
    let mut found: Vec<Target> = Vec::new();
    let mut trouble = None;
    let mut ourselves = None;
    let best = exchangers.iter().find(|(_, host)| host != ".").map(|(preference, _)| *preference);
    let mut hosts = exchangers
        .into_iter()
        .filter(|(_, host)| host != ".")
        .take(HOST_LIMIT)
        .collect::<VecDeque<_>>();
    while let Some((preference, host)) = hosts.pop_front() {
        if ourselves.is_some_and(|own| preference >= own)
            || found.len() >= ADDRESS_LIMIT
                && found.last().is_some_and(|last| last.preference < preference)
        {
            break;
        }
        if own.is_name(&host, route.port) {
            ourselves = Some(preference);
            continue;
        }
        let part = part_of(deadline, hosts.len() + 1);
        match by(part, names.addresses(&host)).await {
            Ok(addresses) => {
                let more = usable(&host, preference, addresses, route);
                if more.iter().any(|target| own.is_address(target.address)) {
                    ourselves = Some(preference);
                } else if more.is_empty() {
                    trouble = Some(unusable(&host, route));
                } else {
                    found.extend(more);
                }
            }
            Err(error) => trouble = Some(Nowhere::dns(&host, "A", error)),
        }
    }
    if let Some(own) = ourselves {
        found.retain(|target| target.preference < own);
        if found.is_empty() {
            return Err(match best {
                Some(best) if best < own => Nowhere::unknown(
                    status::NO_ROUTE,
                    format!("unable to find primary relay for {domain}"),
                ),
                _ => loops(domain),
            });
        }
    }
    if found.is_empty() {
        // As Postfix's smtp_defer_if_no_mx_address_found: a slip in the DNS of the destination is
        // soon mended.
        let text = trouble.map_or_else(
            || format!("no MX host for {domain} has a valid address"),
            |one| one.reply.text,
        );
        return Err(Nowhere::unknown(status::NO_ROUTE, text));
    }
    Ok(choose(found))
}

/// The addresses of a host that can be connected to from where the route says.
fn usable(
    host: &str,
    preference: u16,
    addresses: impl IntoIterator<Item = IpAddr>,
    route: &SmtpRoute,
) -> Vec<Target> {
    addresses
        .into_iter()
        .map(|address| address.to_canonical())
        // Connecting to the unspecified address would reach this host.
        .filter(|address| !address.is_unspecified() && !address.is_multicast())
        .filter(|address| route.source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()))
        .map(|address| Target {
            host: host.to_owned(),
            address: SocketAddr::new(address, route.port),
            preference,
            hop: 0,
        })
        .collect()
}

/// In order of preference, shuffled among equals, and no more than are tried: both kinds of
/// addresses, where there are both, so that a host without one kind still reaches the destination
/// (Postfix's `smtp_balance_inet_protocols`).
fn choose(mut found: Vec<Target>) -> Vec<Target> {
    // Without randomness the order is that of the DNS, which is random enough.
    found.sort_by_cached_key(|target| (target.preference, getrandom::u64().unwrap_or(0)));
    let ipv6 = found.iter().filter(|target| target.address.is_ipv6()).count();
    let ipv4 = found.len() - ipv6;
    let mut room6 = ipv6.min((ADDRESS_LIMIT / 2).max(ADDRESS_LIMIT.saturating_sub(ipv4)));
    let mut room4 = ADDRESS_LIMIT - room6;
    found.retain(|target| {
        let room = if target.address.is_ipv6() { &mut room6 } else { &mut room4 };
        let fits = *room > 0;
        *room = room.saturating_sub(1);
        fits
    });
    found
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
