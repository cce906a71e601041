//! `[verify]`: how other servers are asked whether they take mail for an address.

use std::time::Duration;

use facteur_smtp::{Address, ReversePath};

use super::reader::{Section, Value};

const DAY: Duration = Duration::from_hours(24);

/// `[verify]`. The defaults are Postfix's (`address_verify_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// The envelope sender of a callout. None, the default: the null sender.
    pub sender: ReversePath,
    /// How long a question waits for its callout, which goes on after that. Default 9 s: three
    /// polls of three seconds.
    pub wait: Duration,
    /// How long a callout may take. Default 60 s.
    pub timeout: Duration,
    /// Callouts at once. Default 20, as many as deliveries to one destination.
    pub concurrency: usize,
    /// How long "yes" is believed. Default 31 days (`address_verify_positive_expire_time`).
    pub positive_expire: Duration,
    /// After so long it is asked again, while the old answer stands. Default 7 days
    /// (`address_verify_positive_refresh_time`).
    pub positive_refresh: Duration,
    /// How long "no" is believed. Default 3 days (`address_verify_negative_expire_time`).
    pub negative_expire: Duration,
    /// After so long it is asked again, while the old answer stands. Default 3 hours
    /// (`address_verify_negative_refresh_time`).
    pub negative_refresh: Duration,
    /// How long a server that couldn't say is left alone. Default 1 minute.
    pub unknown_expire: Duration,
}

/// Reads `[verify]`.
pub(super) fn read(section: &mut Section<'_>) -> Verify {
    let sender = section.get("sender", |value| {
        value.parse(|text| match text {
            "" => Ok(None),
            text => text.parse::<Address>().map(Some).map_err(|error| error.to_string()),
        })
    });
    let mut time = |key, default| section.or(key, default, Value::some_duration);
    let wait = time("wait", Duration::from_secs(9));
    let timeout = time("timeout", Duration::from_mins(1));
    let (positive_expire, positive_refresh) =
        (time("positive-expire", 31 * DAY), time("positive-refresh", 7 * DAY));
    let (negative_expire, negative_refresh) =
        (time("negative-expire", 3 * DAY), time("negative-refresh", Duration::from_hours(3)));
    let unknown_expire = time("unknown-expire", Duration::from_mins(1));
    Verify {
        sender: sender.flatten(),
        wait,
        timeout,
        concurrency: section.or("concurrency", 20, |value| value.integer(1..=1_000)),
        positive_expire,
        positive_refresh,
        negative_expire,
        negative_refresh,
        unknown_expire,
    }
}
