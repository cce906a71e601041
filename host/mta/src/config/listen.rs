//! `[[listen]]`: where mail comes in, which plugins are asked there, and the limits of its
//! sessions.

use std::net::SocketAddr;
use std::time::Duration;

use facteur_smtp::{BareNewline, Discarded};
use ipnet::IpNet;

use super::network::network;
use super::reader::{Section, Value};
use super::report::Kind;
use super::tls::{self, TlsMode};
use super::units::LONG;

/// The port of SMTP (RFC 5321 section 2.3.4), for the help text.
const EXAMPLE: &str = "\"0.0.0.0:25\"";
/// A message smaller than this can't hold the headers of a bounce; larger than this no mail server
/// takes.
const MESSAGE_SIZES: std::ops::RangeInclusive<u64> = 1_024..=(1 << 40);

/// Servers wait five minutes for a greeting (RFC 5321 section 4.5.3.2.1), impatient ones less.
const GREET_WAITS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(30);
/// Sessions at once.
const COUNTS: std::ops::RangeInclusive<u64> = 1..=1_000_000;
/// With less than the first, one large message may find no room.
const MEMORY: std::ops::RangeInclusive<u64> = (8 << 20)..=(1 << 40);
/// Events in a minute.
const RATES: std::ops::RangeInclusive<u64> = 1..=1_000_000;

/// One address to listen on.
#[derive(Debug, Clone)]
pub struct Listen {
    /// IP address and port.
    pub address: SocketAddr,
    /// The address as the file writes it: what logs and plugins know the listener by.
    pub name: String,
    /// The names of the plugins that are asked, in order. Absent in the file: every plugin, in file
    /// order.
    pub chain: Vec<String>,
    /// The limits of its sessions.
    pub limits: ListenLimits,
    /// Whom it is for. Default: `Smtp`.
    pub kind: ListenKind,
    /// Whether clients may log in (`smtpd_sasl_auth_enable`). Default: where it is for submission.
    pub auth: bool,
    /// MAIL waits for HELO or EHLO (`smtpd_helo_required`). Default: no, as in Postfix; some
    /// devices say neither.
    pub helo_required: bool,
    /// The trace header says nothing of a client that logged in. Default: false.
    pub hide_client: bool,
    /// What a bare LF in a message means. Default: `Normalize`, as Postfix 3.9: it ends a line, and
    /// never the message.
    pub bare_newline: BareNewline,
    /// TLS. Default: `May` where there is a certificate, none otherwise.
    pub tls: TlsMode,
    /// How long a client that isn't known waits for its greeting, and must not speak
    /// (`postscreen_greet_wait`). Default: none waits.
    pub greet_wait: Option<Duration>,
    /// Whether clients are asked for a certificate (`smtpd_tls_ask_ccert`). Default: no, since some
    /// clients fail when they are.
    pub ask_client_cert: bool,
    /// The proxies whose clients come here; each connection of theirs begins with a header of the
    /// PROXY protocol (`smtpd_upstream_proxy_protocol`). Default: none.
    pub proxies: Vec<IpNet>,
    /// The clients that may say by XCLIENT whom they speak for
    /// (`smtpd_authorized_xclient_hosts`). Default: none.
    pub xclient: Vec<IpNet>,
    /// The clients that may say by XFORWARD where a message came from
    /// (`smtpd_authorized_xforward_hosts`). Default: none.
    pub xforward: Vec<IpNet>,
    /// What isn't offered in the answer to EHLO (`smtpd_discard_ehlo_keywords`). Default: nothing.
    pub discard_ehlo_keywords: Discarded,
    /// The table that says so for clients, by their addresses
    /// (`smtpd_discard_ehlo_keyword_address_maps`). Default: none.
    pub discard_ehlo_keyword_addresses: Option<String>,
    /// VRFY is refused (`disable_vrfy_command`). Default: no, and it never says whether an address
    /// exists.
    pub disable_vrfy: bool,
}

/// Whom a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenKind {
    /// "smtp": other servers.
    Smtp,
    /// "submission": users, who log in before they send (RFC 6409).
    Submission,
}

/// `limits` of a listener. The defaults are Postfix's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenLimits {
    /// Bytes of a message, as stored. Default 10,240,000 (`message_size_limit`).
    pub message_size: u64,
    /// Recipients of a message. Default 1,000 (`smtpd_recipient_limit`).
    pub recipients: usize,
    /// Bytes of a command line. Default 2,048 (`line_length_limit`).
    pub line: usize,
    /// Errors after which a session ends. Default 20 (`smtpd_hard_error_limit`).
    pub errors: u32,
    /// Commands that bring no message nearer, such as NOOP, before each counts as an error. Default
    /// 100 (`smtpd_junk_command_limit`).
    pub junk_commands: u32,
    /// Sessions at once. Default 10,000: an idle one takes a few KiB.
    pub connections: usize,
    /// Octets of memory that all its sessions may hold together of what clients send: recipients,
    /// headers, content that isn't written yet. Default 256 MiB: a thousand messages that come in
    /// at once hold half of it.
    pub memory: u64,
    /// How long a client may be silent. Default 300 s (`smtpd_timeout`; RFC 5321 section 4.5.3.2.7
    /// asks for 5 minutes).
    pub timeout: Duration,
    /// What one client may take of it.
    pub client: ClientLimits,
}

/// `limits.client-…` of a listener: what one client may take, those of `networks.trusted` apart
/// (`smtpd_client_event_limit_exceptions`). A client is an IPv4 address or an IPv6 network of 64
/// bits. None: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Sessions at once. Default 50 (`smtpd_client_connection_count_limit`).
    pub connections: usize,
    /// Connections in a minute. Default none (`smtpd_client_connection_rate_limit`).
    pub connection_rate: Option<u32>,
    /// TLS handshakes in a minute, those that resume a session apart. Default none
    /// (`smtpd_client_new_tls_session_rate_limit`).
    pub tls_rate: Option<u32>,
    /// Failures to log in, in a minute. Default none (Postfix limits all AUTH by
    /// `smtpd_client_auth_rate_limit`); each also makes the next answer wait longer.
    pub auth_failure_rate: Option<u32>,
    /// MAIL commands in a minute. Default none (`smtpd_client_message_rate_limit`).
    pub message_rate: Option<u32>,
    /// RCPT commands in a minute. Default none (`smtpd_client_recipient_rate_limit`).
    pub recipient_rate: Option<u32>,
}

impl ClientLimits {
    /// Whether anything is counted by the minute.
    pub fn any_rate(&self) -> bool {
        let Self { connections: _, connection_rate, tls_rate, auth_failure_rate, .. } = *self;
        let Self { message_rate, recipient_rate, .. } = *self;
        [connection_rate, tls_rate, auth_failure_rate, message_rate, recipient_rate]
            .iter()
            .any(Option::is_some)
    }
}

/// Reads one `[[listen]]`. An absent chain is `None`. `tls`: there is a certificate.
pub(super) fn read(section: &mut Section<'_>, tls: bool) -> Option<(Listen, Option<Vec<String>>)> {
    let address = section.required("address", EXAMPLE, |value| {
        value.parse(|text| match text.parse::<SocketAddr>() {
            Ok(address) => Ok((address, text.to_owned())),
            Err(_) => {
                Err(format!("write an IP address and a port, such as {EXAMPLE} or \"[::]:25\""))
            }
        })
    });
    let chain = section.get("chain", chain);
    let limits = section.section("limits", |limits| ListenLimits {
        message_size: limits.or("message-size", 10_240_000, |value| value.size(MESSAGE_SIZES)),
        // RFC 5321 section 4.5.3.1.8: a server must take 100.
        recipients: limits.or("recipients", 1_000, |value| value.integer(100..=100_000)),
        // RFC 5321 section 4.5.3.1.4: a server must take 512.
        line: limits.or("line", 2_048, |value| value.integer(512..=65_536)),
        errors: limits.or("errors", 20, |value| value.integer(1..=1_000_000)),
        junk_commands: limits.or("junk-commands", 100, |value| value.integer(1..=1_000_000)),
        connections: limits.or("connections", 10_000, |value| value.integer(COUNTS)),
        memory: limits.or("memory", 256 << 20, |value| value.size(MEMORY)),
        timeout: limits.or("timeout", Duration::from_mins(5), |value| {
            value.duration(Duration::from_secs(1)..=LONG)
        }),
        client: ClientLimits {
            connections: limits.or("client-connections", 50, |value| value.integer(COUNTS)),
            connection_rate: limits.get("client-connection-rate", |value| value.integer(RATES)),
            tls_rate: limits.get("client-tls-rate", |value| value.integer(RATES)),
            auth_failure_rate: limits.get("client-auth-failure-rate", |value| value.integer(RATES)),
            message_rate: limits.get("client-message-rate", |value| value.integer(RATES)),
            recipient_rate: limits.get("client-recipient-rate", |value| value.integer(RATES)),
        },
    });
    let words = [("normalize", BareNewline::Normalize), ("reject", BareNewline::Reject)];
    let bare_newline =
        section.or("bare-newline", BareNewline::Normalize, |value| value.one_of(&words));
    let tls = tls::mode(section, tls);
    let greet_wait = section.get("greet-wait", |value| {
        if tls == TlsMode::Implicit {
            return value.error(
                "under implicit TLS the client speaks first",
                "and so it can't be tested",
                "take the line out, or tls = \"implicit\"",
            );
        }
        value.duration(GREET_WAITS)
    });
    let ask_client_cert = section.or("ask-client-cert", false, Value::boolean);
    let kinds = [("smtp", ListenKind::Smtp), ("submission", ListenKind::Submission)];
    let kind = section.or("kind", ListenKind::Smtp, |value| value.one_of(&kinds));
    let submission = kind == ListenKind::Submission;
    let auth = section.or("auth", submission, |value| match value.boolean()? {
        false if submission => value.error(
            "nobody could send here: a listener for submission wants a login first",
            "and no login",
            "take the line out, or kind = \"submission\"",
        ),
        auth => Some(auth),
    });
    let helo_required = section.or("helo-required", false, Value::boolean);
    let hide_client = section.or("hide-client", false, Value::boolean);
    let mut networks = |key| {
        section.get(key, |value| value.list(|value| value.parse(network))).unwrap_or_default()
    };
    let proxies = networks("proxies");
    let (xclient, xforward) = (networks("xclient"), networks("xforward"));
    let discard_ehlo_keywords = section.get("discard-ehlo-keywords", discarded).unwrap_or_default();
    let discard_ehlo_keyword_addresses =
        section.get("discard-ehlo-keyword-addresses", |value| value.name_of(Kind::Table));
    let disable_vrfy = section.or("disable-vrfy", false, Value::boolean);
    let (address, name) = address?;
    let listen = Listen {
        address,
        name,
        chain: Vec::new(),
        limits,
        kind,
        auth,
        helo_required,
        hide_client,
        bare_newline,
        tls,
        greet_wait,
        ask_client_cert,
        proxies,
        xclient,
        xforward,
        discard_ehlo_keywords,
        discard_ehlo_keyword_addresses,
        disable_vrfy,
    };
    Some((listen, chain))
}

/// Keywords of extensions, in any case, and `silent-discard`.
fn discarded(value: &Value<'_>) -> Option<Discarded> {
    let words = value.list(|value| {
        value.parse(|word| {
            let help = "write keywords as \"chunking\", or \"silent-discard\"";
            Discarded::word(word).ok_or_else(|| help.to_owned())
        })
    })?;
    Some(words.into_iter().fold(Discarded::default(), |all, one| all | one))
}

/// Plugin names, each once.
fn chain(value: &Value<'_>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    value.list(|value| {
        let name = value.name_of(Kind::Plugin)?;
        if names.contains(&name) {
            return value.error(
                format!("the plugin \"{name}\" is twice in the chain"),
                "again",
                "a chain asks a plugin once: take one of them out",
            );
        }
        names.push(name);
        Some(())
    })?;
    Some(names)
}
