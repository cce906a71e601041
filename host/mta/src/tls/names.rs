//! The names of a server's certificate, and which of them will do (RFC 6125, and Postfix's rules).
//!
//! The DNS names of the subject's alternative names count; the common name only where there is
//! none. All are compared as A-labels in lower case.

use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::established::{COMMON_NAME, name};

/// The names of a certificate; none of one that can't be read.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = x509_cert::Certificate::from_der(certificate) else { return Vec::new() };
    let parts = certificate.tbs_certificate;
    let alternative = parts.get::<SubjectAltName>().ok().flatten();
    let names = alternative.into_iter().flat_map(|(_, names)| names.0);
    let dns: Vec<String> = names
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if !dns.is_empty() {
        return dns;
    }
    let common = name(&parts.subject, COMMON_NAME);
    common.map(|name| name.to_ascii_lowercase()).into_iter().collect()
}

/// Whether a name of a certificate is the wanted one: that very name, `*.` and its parent, or with
/// a leading dot anything below it.
pub(super) fn fits(name: &str, wanted: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    if wanted.starts_with('.') {
        return name.len() > wanted.len() && name.ends_with(wanted);
    }
    if name == wanted {
        return true;
    }
    // A star stands for one whole label, never for a top-level domain's only one.
    match (name.strip_prefix("*."), wanted.split_once('.')) {
        (Some(parent), Some((label, rest))) => {
            !label.is_empty() && parent == rest && parent.contains('.')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_is_one_label_and_a_dot_is_any_below() {
        for (name, wanted) in [
            ("mx.example.org", "mx.example.org"),
            ("*.example.org", "mx.example.org"),
            ("a.b.example.org", ".example.org"),
            ("*.example.org", ".example.org"),
            ("mx.example.org.", "mx.example.org"),
        ] {
            assert!(fits(name, wanted), "{name} {wanted}");
        }
        for (name, wanted) in [
            ("example.org", ".example.org"),
            ("evil-example.org", ".example.org"),
            ("*.example.org", "example.org"),
            ("*.example.org", "a.b.example.org"),
            ("*.org", "example.org"),
            ("m*.example.org", "mx.example.org"),
            ("*", "org"),
            ("*.example.org", ".mx.example.org"),
            ("192.0.2.1", "192.0.2.2"),
        ] {
            assert!(!fits(name, wanted), "{name} {wanted}");
        }
    }
}
