//! `[scanners.NAME]`: virus scanners that plugins may be granted.

use std::time::Duration;

use super::reader::{Section, Value};
use crate::config::endpoint::Endpoint;

/// One scanner: some clamd, any of which will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanner {
    /// Where its servers are; the first that answers counts.
    pub clamd: Vec<Endpoint>,
    /// Scans at once; more wait. Default 10, clamd's own `MaxThreads`.
    pub concurrency: usize,
    /// To connect to one server. Default 2 s: these are near.
    pub connect_timeout: Duration,
    /// From the first byte to the answer of one server, and the longest wait for a turn. Default 15
    /// s, within a plugin's 20 s.
    pub timeout: Duration,
    /// The largest message that is sent, in bytes. Default 25 MiB, the least `StreamMaxLength` of
    /// the clamd in use.
    pub message_size: u64,
}

/// How long a plugin can wait at all.
const LONGEST: Duration = Duration::from_mins(2);

pub(super) fn read(section: &mut Section<'_>) -> Option<Scanner> {
    let clamd = section.required("clamd", "[\"/run/clamav/clamd.ctl\"]", |value| {
        match value.list(endpoint)? {
            list if list.is_empty() => {
                value.error("a scanner needs a server", "empty", "name one at least")
            }
            list => Some(list),
        }
    });
    let times = Duration::from_millis(1)..=LONGEST;
    let scanner = Scanner {
        clamd: clamd.clone().unwrap_or_default(),
        concurrency: section.or("concurrency", 10, |value| value.integer(1..=1_000)),
        connect_timeout: section
            .or("connect-timeout", Duration::from_secs(2), |value| value.duration(times.clone())),
        timeout: section.or("timeout", Duration::from_secs(15), |value| value.duration(times)),
        message_size: section.or("message-size", 25 << 20, |value| value.size(1..=4 << 30)),
    };
    clamd.map(|_| scanner)
}

/// "host:port", or the path of a unix socket: what has a slash is a path.
pub(super) fn endpoint(value: &Value<'_>) -> Option<Endpoint> {
    if value.string()?.contains('/') {
        value.path().map(Endpoint::Unix)
    } else {
        value.parse(Endpoint::tcp)
    }
}
