//! `[tls]`: the server's certificates, and what TLS may cost.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Section, Value};

/// TLS of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `[[tls.certificate]]`: the first is shown where no other is for the name that a client asks
    /// for. None: no TLS.
    pub certificates: Vec<CertificateFiles>,
    /// The authorities that vouch for certificates of clients, in one file of PEM
    /// (`smtpd_tls_CAfile`). Default: none, so that no such certificate is verified.
    pub client_authorities: Option<PathBuf>,
    /// How long a handshake may take. Default 30 s (`smtpd_starttls_timeout`, which is 300 s): an
    /// honest client needs a few round trips.
    pub timeout: Duration,
    /// Handshakes at once; more wait for their turn. Default 500: each may take 100 KiB meanwhile.
    pub handshakes: usize,
}

/// A certificate and its key (`smtpd_tls_chain_files`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's certificate, and those of the authorities between it and the root.
    pub chain: PathBuf,
    /// The key. Default: in the same file.
    pub key: PathBuf,
}

/// How a listener stands to TLS (`smtpd_tls_security_level`, `smtpd_tls_wrappermode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// None.
    None,
    /// By STARTTLS, for those who want it.
    May,
    /// By STARTTLS, and no mail without it.
    Encrypt,
    /// From the first octet (RFC 8314).
    Implicit,
}

pub(super) fn read(section: &mut Section<'_>) -> Tls {
    let certificates = section.sections("certificate", |section| {
        let chain = section.required("chain", "\"/etc/…/fullchain.pem\"", Value::path);
        let key = section.get("key", Value::path);
        chain.map(|chain| CertificateFiles { key: key.unwrap_or_else(|| chain.clone()), chain })
    });
    let seconds = Duration::from_secs(1)..=Duration::from_mins(10);
    Tls {
        certificates,
        client_authorities: section.get("client-authorities", Value::path),
        timeout: section.or("timeout", Duration::from_secs(30), |value| value.duration(seconds)),
        handshakes: section.or("handshakes", 500, |value| value.integer(1..=100_000)),
    }
}

/// `tls` of a listener. `possible`: there is a certificate.
pub(super) fn mode(section: &mut Section<'_>, possible: bool) -> TlsMode {
    let words = [
        ("none", TlsMode::None),
        ("may", TlsMode::May),
        ("encrypt", TlsMode::Encrypt),
        ("implicit", TlsMode::Implicit),
    ];
    let default = if possible { TlsMode::May } else { TlsMode::None };
    section.or("tls", default, |value| {
        let mode = value.one_of(&words)?;
        if mode != TlsMode::None && !possible {
            return value.error(
                "TLS without a certificate",
                "needs a certificate",
                "add [[tls.certificate]] with chain = \"…/fullchain.pem\" and key = \
                 \"…/privkey.pem\"",
            );
        }
        Some(mode)
    })
}
