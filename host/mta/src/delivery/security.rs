//! How much TLS a next hop wants, and what that means for one of its servers.
//!
//! The table is asked for the next hop as it is written: `[host]:port`, or a domain and then its
//! parents with a leading dot, as Postfix asks `smtp_tls_policy_maps`. A policy that can't be read
//! or found out defers: it is never taken for none.

use std::net::IpAddr;
use std::sync::Arc;

use facteur_policy::{RouteTls, SmtpRoute};
use facteur_smtp::{Reply, ascii_domain, status};

use super::logins::Login;
use super::next_hop::with_parents;
use crate::config::{NamePattern, TlsLevel, TlsPolicy, TlsVersions};
use crate::tables::{FindError, Tables};
use crate::tls::{ClientTls, Demand};

/// TLS of delivery, by one configuration. Cheap to clone.
#[derive(Clone)]
pub struct DeliveryTls {
    /// What talks to servers.
    pub client: Arc<ClientTls>,
    policy: Arc<TlsPolicy>,
    table: Option<(String, Arc<Tables>)>,
}

/// What a connection to a server must be. Those that differ in it are never used for one another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Security {
    /// The level.
    pub level: TlsLevel,
    /// Who the server must be.
    pub demand: Demand,
    /// What is spoken.
    pub versions: TlsVersions,
    /// Who we are to it.
    pub login: Option<Arc<Login>>,
    /// Whether we say so without TLS, too.
    pub login_in_the_clear: bool,
}

impl DeliveryTls {
    /// With this default, and the table of other destinations.
    pub fn new(
        client: Arc<ClientTls>,
        policy: TlsPolicy,
        table: Option<&String>,
        tables: &Arc<Tables>,
    ) -> Self {
        let table = table.map(|name| (name.clone(), tables.clone()));
        Self { client, policy: Arc::new(policy), table }
    }

    /// What is wrong with the table, a line for each entry. What can't be read at all is told by
    /// those who open it.
    pub fn check(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if let Some((name, tables)) = &self.table {
            // One of patterns has no list of entries: each is read when it is needed.
            let _ = tables.each(name, &mut |key, value| {
                if let Err(error) = value.parse::<TlsPolicy>() {
                    errors.push(format!("table \"{name}\": \"{key}\": {error}"));
                }
            });
        }
        errors
    }

    /// What this next hop wants, whatever comes after it.
    ///
    /// # Errors
    /// The 4yz to defer with.
    pub fn policy(&self, hop: &SmtpRoute) -> Result<Arc<TlsPolicy>, Reply> {
        let found = self.find(hop).map_err(|why| {
            tracing::error!(next_hop = %hop.host, why, "the TLS policy can't be used");
            let text = format!("the TLS policy for {} can't be used now", hop.host);
            Reply::new(451, status::MISCONFIGURED, text)
        })?;
        Ok(hop.tls.map_or_else(|| found.clone(), |level| asked(&found, level)))
    }

    fn find(&self, hop: &SmtpRoute) -> Result<Arc<TlsPolicy>, String> {
        let Some((name, tables)) = &self.table else { return Ok(self.policy.clone()) };
        let found = tables.find(name, &with_parents(hop)).map_err(|error| match error {
            FindError::Unknown => format!("there is no table \"{name}\""),
            FindError::Unavailable(why) => why,
        })?;
        let Some(found) = found else { return Ok(self.policy.clone()) };
        let told = |error| format!("table \"{name}\": \"{}\": {error}", found.value);
        found
            .value
            .parse()
            .map(Arc::new)
            .map_err(|error: crate::config::TlsPolicyError| told(error))
    }
}

impl Security {
    /// Of a server of this next hop: for nobody's own name, where `host` is an address.
    pub fn of(policy: &TlsPolicy, hop: &SmtpRoute, host: &str) -> Self {
        let next_hop = name(&hop.host);
        let wanted = |pattern: &NamePattern| match pattern {
            NamePattern::Hostname => name(host),
            NamePattern::NextHop => next_hop.clone(),
            NamePattern::BelowNextHop => next_hop.as_ref().map(|name| format!(".{name}")),
            NamePattern::Name(name) => Some(name.clone()),
        };
        let demand = match policy.level {
            TlsLevel::None | TlsLevel::May | TlsLevel::Encrypt => Demand::Nobody,
            TlsLevel::Fingerprint => Demand::Fingerprint(policy.fingerprints.clone()),
            TlsLevel::Verify | TlsLevel::Secure => {
                Demand::Name(policy.names.iter().filter_map(wanted).collect())
            }
        };
        let versions = policy.versions;
        Self { level: policy.level, demand, versions, login: None, login_in_the_clear: false }
    }

    /// Whether mail may go in the clear where TLS isn't to be had: never a password.
    pub fn may_be_plain(&self) -> bool {
        self.level <= TlsLevel::May && (self.login.is_none() || self.login_in_the_clear)
    }

    /// The same without TLS, where that may be after a handshake that failed.
    pub fn in_the_clear(&self) -> Option<Self> {
        (self.may_be_plain() && self.login.is_none())
            .then(|| Self { level: TlsLevel::None, ..self.clone() })
    }
}

/// What a plugin asks for takes the place of the level; a certificate for the next hop is no less
/// than one for the host.
fn asked(found: &Arc<TlsPolicy>, level: RouteTls) -> Arc<TlsPolicy> {
    let level = match level {
        RouteTls::None => TlsLevel::None,
        RouteTls::May => TlsLevel::May,
        RouteTls::Encrypt => TlsLevel::Encrypt,
        RouteTls::Verify if found.level == TlsLevel::Secure => TlsLevel::Secure,
        RouteTls::Verify => TlsLevel::Verify,
    };
    if found.level == level {
        return found.clone();
    }
    Arc::new(TlsPolicy { versions: found.versions, ..TlsPolicy::of(level) })
}

/// A host's name as certificates have it; none of an address.
fn name(host: &str) -> Option<String> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let is_address = inner.parse::<IpAddr>().is_ok() || inner.contains(':');
    (!is_address).then(|| ascii_domain(inner).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(host: &str, port: u16, mx: bool) -> SmtpRoute {
        SmtpRoute { host: host.into(), port, mx, source: None, tls: None, otherwise: None }
    }

    #[test]
    fn verify_means_the_host_and_secure_the_next_hop() {
        let of = |policy: &str, next_hop: &str, host: &str| {
            let policy: TlsPolicy = policy.parse().unwrap();
            match Security::of(&policy, &hop(next_hop, 25, true), host).demand {
                Demand::Name(names) => names.join(" "),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of("verify", "example.org", "mx.example.net"), "mx.example.net");
        assert_eq!(
            of("secure", "bücher.example", "mx.example.net"),
            "xn--bcher-kva.example .xn--bcher-kva.example"
        );
        assert_eq!(
            of("secure", "[mx.example.net]", "mx.example.net"),
            "mx.example.net .mx.example.net"
        );
        assert_eq!(of("secure match=nexthop:.x.org", "[192.0.2.1]", "192.0.2.1"), ".x.org");
        assert_eq!(of("verify", "[ipv6:::1]", "::1"), "");
    }

    #[test]
    fn a_plugin_changes_the_level_and_weakens_no_name() {
        let found = |text: &str| Arc::new(text.parse::<TlsPolicy>().unwrap());
        let level = |text: &str, level| asked(&found(text), level).level;
        assert_eq!(level("may", RouteTls::Verify), TlsLevel::Verify);
        assert_eq!(level("secure", RouteTls::Verify), TlsLevel::Secure);
        assert_eq!(level("secure", RouteTls::None), TlsLevel::None);
        let policy = asked(&found("encrypt protocols=TLSv1.3"), RouteTls::Verify);
        assert_eq!((policy.level, policy.versions), (TlsLevel::Verify, TlsVersions::Only13));
    }
}
