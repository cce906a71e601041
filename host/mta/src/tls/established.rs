//! What a handshake agreed on, in the words of OpenSSL and Postfix; and the client's certificate.

use std::fmt::Write as _;

use facteur_policy::{ClientCertificate, TlsFacts};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CipherSuite, CommonState, NamedGroup, ProtocolVersion, ServerConnection};
use sha2::{Digest as _, Sha256};
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _};
use x509_cert::name::Name;

use super::authorities::Authorities;

/// Characters of a name that are kept, as Postfix's `CCERT_BUFSIZ`.
const MAX_NAME: usize = 256;
/// commonName and organizationName (RFC 5280 appendix A.1).
pub(super) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

pub(super) fn facts(
    connection: &ServerConnection,
    asked: bool,
    authorities: Option<&Authorities>,
) -> TlsFacts {
    let (version, cipher, bits) = agreed(connection);
    let group = connection.negotiated_key_exchange_group();
    TlsFacts {
        version,
        cipher,
        bits,
        key_exchange: group.and_then(|group| key_exchange(group.name())),
        sni: connection.server_name().map(str::to_owned),
        asked,
        client: connection.peer_certificates().and_then(|chain| client(chain, authorities)),
    }
}

/// The version of TLS, the name of the suite and its bits.
pub(super) fn agreed(connection: &CommonState) -> (&'static str, &'static str, u16) {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let (cipher, bits) = suite.map_or(("unknown", 0), cipher);
    (version, cipher, bits)
}

/// The name and the bits of a suite.
fn cipher(suite: CipherSuite) -> (&'static str, u16) {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", 128),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", 256),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => {
            ("ECDHE-ECDSA-AES128-GCM-SHA256", 128)
        }
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => {
            ("ECDHE-ECDSA-AES256-GCM-SHA384", 256)
        }
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("ECDHE-ECDSA-CHACHA20-POLY1305", 256)
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-RSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-RSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("ECDHE-RSA-CHACHA20-POLY1305", 256)
        }
        other => (other.as_str().unwrap_or("unknown"), 0),
    }
}

fn key_exchange(group: NamedGroup) -> Option<&'static str> {
    match group {
        NamedGroup::X25519MLKEM768 => Some("X25519MLKEM768"),
        NamedGroup::X25519 => Some("X25519"),
        NamedGroup::secp256r1 => Some("ECDHE (P-256)"),
        NamedGroup::secp384r1 => Some("ECDHE (P-384)"),
        _ => group.as_str(),
    }
}

fn client(
    chain: &[CertificateDer<'_>],
    authorities: Option<&Authorities>,
) -> Option<ClientCertificate> {
    let (own, others) = chain.split_first()?;
    let verified = authorities.is_some_and(|authorities| {
        authorities.of_clients.verify_client_cert(own, others, UnixTime::now()).is_ok()
    });
    let parts = x509_cert::Certificate::from_der(own).ok().map(|certificate| {
        let parts = certificate.tbs_certificate;
        let issuer = name(&parts.issuer, COMMON_NAME).or_else(|| name(&parts.issuer, ORGANISATION));
        let key = parts.subject_public_key_info.to_der().unwrap_or_default();
        let subject = name(&parts.subject, COMMON_NAME).unwrap_or_default();
        (subject, issuer.unwrap_or_default(), fingerprint(&key))
    });
    let (subject, issuer, key_fingerprint) = parts.unwrap_or_default();
    let fingerprint = fingerprint(own);
    Some(ClientCertificate { fingerprint, key_fingerprint, subject, issuer, verified })
}

/// The common name of a certificate's subject.
#[cfg(test)]
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> String {
    let certificate = x509_cert::Certificate::from_der(certificate).unwrap();
    name(&certificate.tbs_certificate.subject, COMMON_NAME).unwrap_or_default()
}

fn fingerprint(certificate_or_key: &[u8]) -> String {
    hexadecimal(&Sha256::digest(certificate_or_key))
}

/// Octets as Postfix writes them: "AB:CD:…".
pub(super) fn hexadecimal(octets: &[u8]) -> String {
    let mut text = String::with_capacity(3 * octets.len());
    for byte in octets {
        // Writing to a String can't fail.
        let _ = write!(text, "{}{byte:02X}", if text.is_empty() { "" } else { ":" });
    }
    text
}

/// The last part of a name that is of this kind: the most specific one.
pub(super) fn name(name: &Name, kind: ObjectIdentifier) -> Option<String> {
    let mut parts = name.0.iter().flat_map(|part| part.0.iter());
    let value = &parts.rfind(|part| part.oid == kind)?.value;
    let text = match value.tag() {
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str(),
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str(),
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok()?.as_str(),
        _ => return None,
    };
    Some(printable(text))
}

/// What a stranger wrote, as it may stand in a log, a comment of a header, and a table's key.
fn printable(text: &str) -> String {
    let kept = |character: char| {
        let plain = character == ' ' || character.is_ascii_graphic();
        if plain && !"()\"\\<>".contains(character) { character } else { '?' }
    };
    text.chars().take(MAX_NAME).map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_breaks_no_header() {
        let text = "a)\r\nX-Injected: yes\0 \"(é";
        assert_eq!(printable(text), "a???X-Injected: yes? ???");
        assert_eq!(printable(&"x".repeat(1000)).len(), MAX_NAME);
    }
}
