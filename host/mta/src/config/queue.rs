//! `[queue]` and `[smtp]`: when and how mail goes out. The defaults are Postfix's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::reader::Section;

const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

/// `[queue]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The wait after a first failed attempt. Default 300 s (`minimal_backoff_time`).
    pub minimal_backoff: Duration,
    /// The longest wait between attempts. Default 4,000 s (`maximal_backoff_time`).
    pub maximal_backoff: Duration,
    /// How long a message is tried. Default 5 days (`maximal_queue_lifetime`).
    pub lifetime: Duration,
    /// How long a bounce is tried. Default 5 days (`bounce_queue_lifetime`).
    pub bounce_lifetime: Duration,
    /// Deliveries at once to a destination, at first. Default 5
    /// (`initial_destination_concurrency`).
    pub destination_concurrency: usize,
    /// … and at most. Default 20 (`default_destination_concurrency_limit`).
    pub destination_concurrency_limit: usize,
    /// Deliveries by SMTP at once, to all destinations together. Default 1,000: each takes some
    /// memory and a connection, not a process (Postfix's `default_process_limit` is 100). As many
    /// as there are descriptors for.
    pub deliveries: usize,
    /// Recipients of one delivery. Default 50 (`default_destination_recipient_limit`).
    pub recipients_per_delivery: usize,
    /// `Received:` headers after which a message loops. Default 50 (`hopcount_limit`).
    pub hop_count: usize,
    /// Recipients in memory. Default 20,000 (`qmgr_message_active_limit`,
    /// `qmgr_message_recipient_limit`).
    pub active: usize,
}

/// `[smtp]`, the client.
#[derive(Debug, Clone)]
pub struct SmtpClient {
    /// The name in EHLO. Default: the host's name.
    pub helo: String,
    /// The IPv4 address to connect from. None: the system's choice.
    pub source_ipv4: Option<Ipv4Addr>,
    /// The IPv6 address to connect from. None: the system's choice.
    pub source_ipv6: Option<Ipv6Addr>,
    /// How long a connection is kept open for the next message. Default 2 s
    /// (`smtp_connection_cache_time_limit`).
    pub idle_connection: Duration,
    /// How long each step may take.
    pub timeouts: SmtpTimeouts,
}

/// `[smtp.timeouts]`.
#[derive(Debug, Clone)]
pub struct SmtpTimeouts {
    /// To connect. Default 30 s (`smtp_connect_timeout`).
    pub connect: Duration,
    /// For the greeting, and for the reply to EHLO. Default 300 s (`smtp_helo_timeout`).
    pub helo: Duration,
    /// For the reply to STARTTLS, and for the handshake. Default 300 s (`smtp_starttls_timeout`).
    pub starttls: Duration,
    /// For the reply to MAIL. Default 300 s (`smtp_mail_timeout`).
    pub mail: Duration,
    /// For the reply to RCPT. Default 300 s (`smtp_rcpt_timeout`).
    pub rcpt: Duration,
    /// For the reply to DATA. Default 120 s (`smtp_data_init_timeout`).
    pub data_init: Duration,
    /// To hand over a part of the content. Default 180 s (`smtp_data_xfer_timeout`).
    pub data: Duration,
    /// For the reply to the end of the content. Default 600 s (`smtp_data_done_timeout`).
    pub data_done: Duration,
}

/// Reads `[queue]`.
pub(super) fn read(section: &mut Section<'_>) -> Queue {
    let minimal_backoff = time(section, "minimal-backoff", 300);
    let maximal_backoff =
        section.or("maximal-backoff", Duration::from_secs(4_000).max(minimal_backoff), |value| {
            value.some_duration().filter(|maximal| {
                let right = *maximal >= minimal_backoff;
                if !right {
                    let help = "make it at least as long as `minimal-backoff`";
                    value.error::<()>(
                        "`maximal-backoff` is shorter than `minimal-backoff`",
                        "too short",
                        help,
                    );
                }
                right
            })
        });
    let destination_concurrency =
        section.or("destination-concurrency", 5, |value| value.integer(1..=10_000));
    let limit = 20.max(destination_concurrency);
    let destination_concurrency_limit =
        section.or("destination-concurrency-limit", limit, |value| {
            value.integer(1..=10_000).filter(|limit| {
                let right = *limit >= destination_concurrency;
                if !right {
                    let help = "make it at least as large as `destination-concurrency`";
                    value.error::<()>(
                        "`destination-concurrency-limit` is below where it begins",
                        "too small",
                        help,
                    );
                }
                right
            })
        });
    Queue {
        minimal_backoff,
        maximal_backoff,
        lifetime: time(section, "lifetime", 5 * DAY),
        bounce_lifetime: time(section, "bounce-lifetime", 5 * DAY),
        destination_concurrency,
        destination_concurrency_limit,
        deliveries: section.or("deliveries", 1_000, |value| value.integer(1..=100_000)),
        recipients_per_delivery: section
            .or("recipients-per-delivery", 50, |value| value.integer(1..=1_000)),
        hop_count: section.or("hop-count", 50, |value| value.integer(1..=1_000)),
        active: section.or("active", 20_000, |value| value.integer(100..=10_000_000)),
    }
}

/// Reads `[smtp]`.
pub(super) fn read_client(section: &mut Section<'_>, hostname: &str) -> SmtpClient {
    let helo =
        section.or("helo", hostname.to_owned(), |value| value.parse(super::domains::hostname));
    let mut source_ipv4 = None;
    let mut source_ipv6 = None;
    section.get("source", |value| {
        value.list(|value| {
            let address = value
                .parse(|text| text.parse::<IpAddr>().map_err(|_| "write an IP address".into()))?;
            let before = match address {
                IpAddr::V4(address) => source_ipv4.replace(address).is_some(),
                IpAddr::V6(address) => source_ipv6.replace(address).is_some(),
            };
            if before {
                value.error("two source addresses of one family", "the second", "keep one of them")
            } else {
                Some(())
            }
        })
    });
    let idle_connection = time(section, "idle-connection", 2);
    let timeouts = section.section("timeouts", |section| SmtpTimeouts {
        connect: time(section, "connect", 30),
        helo: time(section, "helo", 5 * MINUTE),
        starttls: time(section, "starttls", 5 * MINUTE),
        mail: time(section, "mail", 5 * MINUTE),
        rcpt: time(section, "rcpt", 5 * MINUTE),
        data_init: time(section, "data-init", 2 * MINUTE),
        data: time(section, "data", 3 * MINUTE),
        data_done: time(section, "data-done", 10 * MINUTE),
    });
    SmtpClient { helo, source_ipv4, source_ipv6, idle_connection, timeouts }
}

/// A duration with its default in seconds.
fn time(section: &mut Section<'_>, key: &'static str, seconds: u64) -> Duration {
    section.or(key, Duration::from_secs(seconds), super::reader::Value::some_duration)
}
