//! `[services.NAME]`: other programs that plugins may be granted to talk to.

use std::time::Duration;

use super::reader::Section;
use super::scanner::endpoint;
use crate::config::endpoint::Endpoint;

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where it listens.
    pub address: Endpoint,
    /// Conversations at once; more wait. Default 10.
    pub concurrency: usize,
    /// To connect. Default 2 s: these are near.
    pub connect_timeout: Duration,
    /// A whole conversation, and the longest wait for a turn. Default 10 s, within a plugin's 20 s.
    pub timeout: Duration,
    /// What it may say in one conversation, in bytes. Default 64 KiB.
    pub response: usize,
}

/// How long a plugin can wait at all.
const LONGEST: Duration = Duration::from_mins(2);

pub(super) fn read(section: &mut Section<'_>) -> Option<Service> {
    let times = Duration::from_millis(1)..=LONGEST;
    let address = section.required("address", "\"127.0.0.1:11334\"", endpoint);
    let concurrency = section.or("concurrency", 10, |value| value.integer(1..=1_000));
    let connect_timeout = section
        .or("connect-timeout", Duration::from_secs(2), |value| value.duration(times.clone()));
    let timeout = section.or("timeout", Duration::from_secs(10), |value| value.duration(times));
    let response = section.get("response", |value| usize::try_from(value.size(1..=1 << 20)?).ok());
    Some(Service {
        address: address?,
        concurrency,
        connect_timeout,
        timeout,
        response: response.unwrap_or(64 << 10),
    })
}
