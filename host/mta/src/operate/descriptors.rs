//! File descriptors: how many the process may have, and who gets how many of them.
//!
//! Nobody takes another's: clients that do nothing, servers that don't answer and a slow DNS run
//! into limits of their own, and the spool, the mailboxes, the operator and the log always have
//! what they need. Where the configuration asks for more than there is, its limits are lowered, and
//! that is told.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{AuthSource, Config};

/// What the process has open whatever it does (spool, log, journal, tables, doors: about forty),
/// and the operator's connections.
const OWN: usize = 64;
/// Beside that, one in so many is for what is opened for a moment: tables that are read, folders
/// that are synced, content that plugins look at.
const MOMENTARY: usize = 8;
/// … up to this: no more threads open files at once.
const MOMENTARY_AT_MOST: usize = 1024;
/// With fewer no mail server can be run.
const LEAST: usize = 128;
/// What is assumed where the system knows no limit.
const WITHOUT_LIMIT: u64 = 1 << 20;

/// The parts of what is left, in sixteenths: clients first, since they come unasked.
const CLIENTS: usize = 8;
const DELIVERIES: usize = 3;
const MAILBOXES: usize = 1;
const DNS: usize = 2;
const LENT: usize = 2;

/// Of a session, or a delivery by SMTP: the connection, and the file of a large message.
const FOR_EACH: usize = 2;
/// Of a mailbox that is written: the message twice, the new file, a folder.
const FOR_MAILBOX: usize = 4;
/// Of a scan: the connection in use, and one that is kept.
const FOR_SCAN: usize = 2;

/// Idle connections to servers at most: each holds a socket there, too.
const IDLE_AT_MOST: usize = 500;
/// Mailboxes that are written at once at most: each takes a thread, and waits for the disk.
const MAILBOXES_AT_MOST: usize = 32;
/// Questions to the DNS on their way at most.
const DNS_AT_MOST: usize = 4096;

/// What isn't in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Idle connections to servers.
    pub idle_connections: usize,
    /// Mailboxes that are written at once.
    pub mailboxes: usize,
    /// Sockets to the DNS.
    pub dns: usize,
}

/// There are too few.
#[derive(Debug, thiserror::Error)]
#[error(
    "the process may open {0} files at once, and needs {LEAST} at least: raise `ulimit -n`, or \
     LimitNOFILE= of the systemd unit"
)]
pub struct TooFew(usize);

/// Raises the limit of open files as far as this process may, and says how many there may be. The
/// usual soft limit is meant for programs that use `select`.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    usize::try_from(now.unwrap_or(WITHOUT_LIMIT)).unwrap_or(usize::MAX)
}

/// Lowers what the configuration allows to what `total` descriptors allow.
///
/// # Errors
/// There are too few for any.
pub fn fit(config: &mut Config, total: usize) -> Result<Shares, TooFew> {
    if total < LEAST {
        return Err(TooFew(total));
    }
    let rest = total - OWN - (total / MOMENTARY).min(MOMENTARY_AT_MOST);
    let part = |sixteenths: usize| rest / 16 * sixteenths;

    let mut clients: Vec<_> =
        config.listen.iter_mut().map(|one| (&mut one.limits.connections, FOR_EACH)).collect();
    lower(&mut clients, part(CLIENTS));
    // A delivery may leave a connection behind.
    lower(&mut [(&mut config.queue.deliveries, FOR_EACH + 1)], part(DELIVERIES));
    let scans = config.scanners.values_mut().map(|one| (&mut one.concurrency, FOR_SCAN));
    let services = config.services.values_mut().map(|one| (&mut one.concurrency, 1));
    let callouts = (&mut config.verify.concurrency, 1);
    let dovecot = matches!(config.auth.source, AuthSource::Dovecot(_));
    let logins = dovecot.then_some((&mut config.auth.concurrency, 1));
    let mut lent: Vec<_> = scans.chain(services).chain([callouts]).chain(logins).collect();
    lower(&mut lent, part(LENT));

    Ok(Shares {
        idle_connections: config.queue.deliveries.min(IDLE_AT_MOST),
        mailboxes: (part(MAILBOXES) / FOR_MAILBOX).clamp(1, MAILBOXES_AT_MOST),
        dns: part(DNS).clamp(1, DNS_AT_MOST),
    })
}

/// Lowers limits, each with what one of it takes, in proportion, so that they fit together. None is
/// nothing.
fn lower(limits: &mut [(&mut usize, usize)], room: usize) {
    let wanted = limits
        .iter()
        .fold(0_usize, |sum, (limit, each)| sum.saturating_add(limit.saturating_mul(*each)));
    if wanted > room {
        for (limit, _) in limits {
            let part = (**limit as u128 * room as u128) / wanted as u128;
            **limit = usize::try_from(part).unwrap_or(usize::MAX).max(1);
        }
    }
}

/// Tells what was lowered, once at the start.
pub fn tell(wanted: &Config, given: &Config, total: usize) {
    let listeners = wanted.listen.iter().zip(&given.listen).map(|(wanted, given)| {
        let name = format!("listen {} connections", wanted.name);
        (name, wanted.limits.connections, given.limits.connections)
    });
    let scanners =
        wanted.scanners.iter().zip(given.scanners.values()).map(|((name, one), given)| {
            (format!("scanners.{name} concurrency"), one.concurrency, given.concurrency)
        });
    let services =
        wanted.services.iter().zip(given.services.values()).map(|((name, one), given)| {
            (format!("services.{name} concurrency"), one.concurrency, given.concurrency)
        });
    let single = [
        ("queue deliveries".to_owned(), wanted.queue.deliveries, given.queue.deliveries),
        ("verify concurrency".to_owned(), wanted.verify.concurrency, given.verify.concurrency),
        ("auth concurrency".to_owned(), wanted.auth.concurrency, given.auth.concurrency),
    ];
    for (limit, wanted, given) in listeners.chain(scanners).chain(services).chain(single) {
        if given < wanted {
            tracing::warn!(
                limit,
                wanted,
                given,
                "lowered: the process may open {total} files at once; raise `ulimit -n`, or \
                 LimitNOFILE= of the systemd unit"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(more: &str) -> Config {
        let text =
            format!("hostname = \"mx.here.example\"\n[[listen]]\naddress = \"[::1]:25\"\n{more}");
        Config::parse(Path::new("/etc/facteur.toml"), &text).unwrap()
    }

    /// All that can be open at once.
    fn most(config: &Config, shares: Shares) -> usize {
        let sum = |limits: Vec<usize>| limits.into_iter().sum::<usize>();
        OWN + FOR_EACH * sum(config.listen.iter().map(|one| one.limits.connections).collect())
            + FOR_EACH * config.queue.deliveries
            + shares.idle_connections
            + FOR_MAILBOX * shares.mailboxes
            + shares.dns
            + FOR_SCAN * sum(config.scanners.values().map(|one| one.concurrency).collect())
            + sum(config.services.values().map(|one| one.concurrency).collect())
            + config.verify.concurrency
            + if matches!(config.auth.source, AuthSource::Dovecot(_)) {
                config.auth.concurrency
            } else {
                0
            }
    }

    #[test]
    fn whatever_is_configured_fits_into_what_there_is() {
        let more = "[[listen]]\naddress = \"[::1]:587\"\nlimits.connections = 1000\n\
                    [scanners.a]\nclamd = [\"/x\"]\nconcurrency = 500\n\
                    [services.s]\naddress = \"/x\"\nconcurrency = 900\n\
                    [auth]\ndovecot = \"/x\"\n";
        for total in [LEAST, 200, 256, 300, 1024, 4096, 65_536, 524_288] {
            for more in ["", more] {
                let wanted = config(more);
                let mut given = wanted.clone();
                let shares = fit(&mut given, total).unwrap();
                assert!(most(&given, shares) <= total, "{total}: {given:#?} {shares:?}");
                assert!(given.listen[0].limits.connections >= total / 20 || total > 65_535);
            }
        }
        let mut given = config(more);
        fit(&mut given, 1024).unwrap();
        // Ten to one, as they were.
        let connections: Vec<_> = given.listen.iter().map(|one| one.limits.connections).collect();
        assert!(connections[0] / connections[1] == 10, "{connections:?}");
        assert!(fit(&mut config(""), LEAST - 1).is_err());
    }

    #[test]
    fn nothing_is_lowered_where_there_are_enough() {
        let mut given = config("");
        let wanted = format!("{given:?}");
        let shares = fit(&mut given, 524_288).unwrap();
        assert_eq!(format!("{given:?}"), wanted);
        assert_eq!((shares.idle_connections, shares.mailboxes), (IDLE_AT_MOST, MAILBOXES_AT_MOST));
    }
}
