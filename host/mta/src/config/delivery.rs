//! `[delivery]`: who we are to servers that relay for us, how much TLS servers are asked for, and
//! who vouches for them.

use std::path::PathBuf;

use super::reader::{Section, Value};
use super::report::Kind;
use super::tls::CertificateFiles;
use super::tls_policy::{TlsLevel, TlsPolicy, TlsPolicyError};

/// `[delivery]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// `[delivery.tls]`.
    pub tls: DeliveryTls,
    /// The file with the logins at servers that relay for us (`smtp_sasl_password_maps`). Default:
    /// none.
    pub credentials: Option<PathBuf>,
    /// Whether we log in without TLS, too. Default: no, since a password in the clear is
    /// everybody's (`smtp_sasl_security_options = noplaintext`).
    pub credentials_in_the_clear: bool,
}

/// TLS of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryTls {
    /// What destinations want that the table doesn't name. Default: `may`
    /// (`smtp_tls_security_level`, which is empty).
    pub policy: TlsPolicy,
    /// The table of what other destinations want (`smtp_tls_policy_maps`).
    pub table: Option<String>,
    /// A file of PEM with the authorities that vouch for servers (`smtp_tls_CAfile`). Default: the
    /// system's.
    pub authorities: Option<PathBuf>,
    /// What servers are shown that ask for a certificate (`smtp_tls_chain_files`). Default: none.
    pub certificate: Option<CertificateFiles>,
}

/// Reads `[delivery]`.
pub(super) fn read(section: &mut Section<'_>) -> Delivery {
    Delivery {
        tls: section.section("tls", tls),
        credentials: section.get("credentials", Value::path),
        credentials_in_the_clear: section.or("credentials-in-the-clear", false, Value::boolean),
    }
}

fn tls(section: &mut Section<'_>) -> DeliveryTls {
    let policy = section.or("level", TlsPolicy::of(TlsLevel::May), |value| {
        value.parse(|text| text.parse().map_err(|error: TlsPolicyError| error.to_string()))
    });
    let table = section.get("policy-table", |value| value.name_of(Kind::Table));
    let authorities = section.get("ca-file", Value::path);
    let chain = section.get("chain", Value::path);
    let key = section.value("key");
    if let (None, Some(key)) = (&chain, &key) {
        key.error::<()>("a key without its certificate", "no `chain`", "add chain = \"…\"");
    }
    let key = key.and_then(|key| key.path());
    let certificate =
        chain.map(|chain| CertificateFiles { key: key.unwrap_or_else(|| chain.clone()), chain });
    DeliveryTls { policy, table, authorities, certificate }
}
