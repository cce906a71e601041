//! Certificates of servers, as the handshake takes them: any, of which the server has the key.
//!
//! Who it is is judged after the handshake, also of a session that is resumed: so one cache of
//! sessions serves destinations that ask for much and those that take anybody. Certificates of
//! X.509 version 1, which webpki doesn't read, are taken as well: where nobody looks who the server
//! is, they are as good as any.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::certificate::Version;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// Takes any certificate.
#[derive(Debug)]
pub(super) struct AnyServer(WebPkiSupportedAlgorithms);

impl AnyServer {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }

    /// The same for a key that stands alone; TLS 1.2.
    fn verify_by_key(
        &self,
        message: &[u8],
        key: &SubjectPublicKeyInfoOwned,
        signed: &DigitallySignedStruct,
    ) -> Option<HandshakeSignatureValid> {
        let identifier = key.algorithm.to_der().ok()?;
        let octets = key.subject_public_key.raw_bytes();
        let (_, algorithms) = self.0.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme)?;
        let fits = algorithms.iter().find(|algorithm| {
            // webpki has it without the head of the sequence.
            identifier.ends_with(algorithm.public_key_alg_id().as_ref())
        })?;
        fits.verify_signature(octets, message, signed.signature()).ok()?;
        Some(HandshakeSignatureValid::assertion())
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0).or_else(|error| {
            key_of_version_1(cert)
                .and_then(|key| self.verify_by_key(message, &key, dss))
                .ok_or(error)
        })
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0).or_else(|error| {
            let key = key_of_version_1(cert).and_then(|key| key.to_der().ok()).ok_or(error)?;
            let key = SubjectPublicKeyInfoDer::from(key);
            verify_tls13_signature_with_raw_key(message, &key, dss, &self.0)
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The key of a certificate that is of version 1.
fn key_of_version_1(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoOwned> {
    let parts = x509_cert::Certificate::from_der(certificate).ok()?.tbs_certificate;
    (parts.version == Version::V1).then_some(parts.subject_public_key_info)
}
