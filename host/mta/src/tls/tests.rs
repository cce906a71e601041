//! Which files are taken, and which certificate is shown to whom: handshakes in memory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
    SignatureAlgorithm, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
};

use super::*;
use crate::config::CertificateFiles;

/// A folder of certificates.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::set_permissions(self.path("new"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// A pair for these names, in `NAME.pem` and `NAME.key`.
    fn pair(&self, name: &str, names: &[&str], kind: &'static SignatureAlgorithm) {
        self.dated(name, names, kind, 2020, 4000);
    }

    fn dated(
        &self,
        name: &str,
        names: &[&str],
        kind: &'static SignatureAlgorithm,
        from: i32,
        to: i32,
    ) {
        let key = KeyPair::generate_for(kind).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) =
            (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let certificate = params.self_signed(&key).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn files(&self, name: &str) -> CertificateFiles {
        let path = |end: &str| self.path(&format!("{name}.{end}"));
        CertificateFiles { chain: path("pem"), key: path("key") }
    }

    fn config(&self, names: &[&str]) -> config::Tls {
        config::Tls {
            certificates: names.iter().map(|name| self.files(name)).collect(),
            client_authorities: None,
            timeout: Duration::from_secs(1),
            handshakes: 1,
        }
    }

    /// What keeps the pair from being used, and what should be mended of it.
    fn wrong(&self, name: &str) -> (String, String) {
        let (tls, faults) = Tls::open(&self.config(&[name]), &tickets().unwrap(), None).unwrap();
        let text = |faults: Vec<TlsFault>| {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            lines.join("\n").replace(&self.path("").display().to_string(), "")
        };
        (text(faults), text(tls.remarks()))
    }
}

fn open(config: &config::Tls, before: Option<&Tls>) -> Arc<Tls> {
    let (tls, faults) = Tls::open(config, &tickets().unwrap(), before).unwrap();
    assert_eq!(faults, []);
    tls
}

/// Takes any certificate, with these signatures.
#[derive(Debug)]
struct Any(Vec<SignatureScheme>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const RSA: &[SignatureScheme] =
    &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];

fn client(schemes: &[&[SignatureScheme]], own: Option<(&Place, &str)>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any(schemes.concat())));
    match own {
        None => builder.with_no_client_auth(),
        Some((place, name)) => {
            let chain = place.read(&format!("{name}.pem"));
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap);
            let key = PrivateKeyDer::from_pem_file(place.path(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain.collect(), key).unwrap()
        }
    }
}

/// Both sides after a handshake; or why there was none.
fn shake(
    tls: &Tls,
    asks: bool,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(tls.server(asks).unwrap()).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

/// The common name of the certificate that a client is shown.
fn shown(tls: &Tls, schemes: &[&[SignatureScheme]], name: &str) -> String {
    match shake(tls, false, &Arc::new(client(schemes, None)), name) {
        Ok((client, _)) => {
            let chain = client.peer_certificates().unwrap().to_vec();
            established::common_name(&chain[0])
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_client_is_shown_what_it_asks_for_and_can_verify() {
    let place = Place::new();
    place.pair("default", &["mx.a.example"], &PKCS_ECDSA_P256_SHA256);
    place.pair("old", &["mx.a.example"], &PKCS_RSA_SHA256);
    place.pair("b", &["mx.b.example", "*.b.example"], &PKCS_ECDSA_P256_SHA256);
    let tls = open(&place.config(&["default", "old", "b"]), None);
    let both = &[ECDSA, RSA];
    assert_eq!(shown(&tls, both, "mx.a.example"), "default");
    assert_eq!(shown(&tls, &[RSA], "mx.a.example"), "old");
    assert_eq!(shown(&tls, both, "mx.b.example"), "b");
    assert_eq!(shown(&tls, both, "MX.B.example"), "b");
    assert_eq!(shown(&tls, both, "any.b.example"), "b");
    assert_eq!(shown(&tls, both, "deep.any.b.example"), "default");
    assert_eq!(shown(&tls, both, "elsewhere.example"), "default");
    // None of the name that it can verify: another is better than none.
    assert_eq!(shown(&tls, &[RSA], "mx.b.example"), "old");
    assert_eq!(shown(&tls, both, "192.0.2.1"), "default", "an address is no name to ask for");
    let neither = shown(&tls, &[&[SignatureScheme::ED25519]], "mx.a.example");
    assert!(neither.contains("no server certificate"), "{neither}");
}

#[test]
fn what_was_agreed_on_is_told_in_the_words_of_openssl() {
    let place = Place::new();
    place.pair("mx", &["mx.a.example"], &PKCS_ECDSA_P256_SHA256);
    let tls = open(&place.config(&["mx"]), None);
    let wanted = Arc::new(client(&[ECDSA], None));
    let (_, server) = shake(&tls, false, &wanted, "mx.a.example").unwrap();
    let facts = tls.established(&server, false);
    assert_eq!(
        (facts.version, facts.cipher, facts.bits, facts.key_exchange, facts.sni.as_deref()),
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, Some("X25519MLKEM768"), Some("mx.a.example"))
    );
    assert_eq!(facts.client, None);
    assert_eq!(facts.fact("tls.version"), Some("TLSv1.3"));
    assert_eq!(facts.fact("tls.client-fingerprint"), None);

    let old = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any(ECDSA.to_vec())))
        .with_no_client_auth();
    let (_, server) = shake(&tls, false, &Arc::new(old), "mx.a.example").unwrap();
    let facts = tls.established(&server, false);
    assert_eq!((facts.version, facts.cipher), ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"));
}

#[test]
fn any_certificate_of_a_client_is_taken_and_only_that_of_a_known_authority_is_verified() {
    let place = Place::new();
    place.pair("mx", &["mx.a.example"], &PKCS_ECDSA_P256_SHA256);
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Authority");
    place.write("ca.pem", &params.self_signed(&authority).unwrap().pem());
    let issuer = rcgen::Issuer::new(params, authority);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a)\r\nclient");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    place.write("known.pem", &params.signed_by(&key, &issuer).unwrap().pem());
    place.write("known.key", &key.serialize_pem());
    place.pair("self", &["self.example"], &PKCS_RSA_SHA256);

    let config =
        config::Tls { client_authorities: Some(place.path("ca.pem")), ..place.config(&["mx"]) };
    let tls = open(&config, None);
    let told = |tls: &Tls, asks: bool, own: Option<&str>| {
        let client = client(&[ECDSA], own.map(|own| (&place, own)));
        let (_, server) = shake(tls, asks, &Arc::new(client), "mx.a.example").unwrap();
        let facts = tls.established(&server, asks);
        facts.client.map(|client| {
            assert_eq!(client.fingerprint.len(), 32 * 3 - 1);
            (client.subject, client.issuer, client.verified)
        })
    };
    let known = Some(("a???client".to_owned(), "Authority".to_owned(), true));
    assert_eq!(told(&tls, true, Some("known")), known);
    let stranger = Some(("self".to_owned(), "self".to_owned(), false));
    assert_eq!(told(&tls, true, Some("self")), stranger);
    assert_eq!(told(&tls, true, None), None);
    assert_eq!(told(&tls, false, Some("known")), None);
    let nobody = open(&place.config(&["mx"]), None);
    assert!(!told(&nobody, true, Some("known")).unwrap().2);
}

#[test]
fn a_session_is_resumed_whatever_was_loaded_meanwhile() {
    let place = Place::new();
    place.pair("mx", &["mx.a.example"], &PKCS_ECDSA_P256_SHA256);
    let tickets = tickets().unwrap();
    let config = place.config(&["mx"]);
    let (before, _) = Tls::open(&config, &tickets, None).unwrap();
    let client = Arc::new(client(&[ECDSA], None));
    let (_, server) = shake(&before, false, &client, "mx.a.example").unwrap();
    assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    place.pair("mx", &["mx.a.example"], &PKCS_ECDSA_P256_SHA256);
    let (after, _) = Tls::open(&config, &tickets, Some(&before)).unwrap();
    drop(before);
    let (_, server) = shake(&after, false, &client, "mx.a.example").unwrap();
    assert_eq!(server.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(after.established(&server, false).sni.as_deref(), Some("mx.a.example"));
}

#[test]
fn what_is_wrong_with_a_pair_is_told_with_its_place_and_remedy() {
    let place = Place::new();
    place.pair("good", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    assert_eq!(place.wrong("good"), (String::new(), String::new()));
    place.pair("other", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let fault = |chain: &str, key: &str| {
        place.write("t.pem", chain);
        place.write("t.key", key);
        place.wrong("t").0
    };
    let (good, key) = (place.read("good.pem"), place.read("good.key"));
    let other = place.read("other.pem");
    assert!(place.wrong("missing").0.starts_with("missing.pem: No such file"));
    assert!(fault("", &key).starts_with("t.pem: no certificate is in it"));
    assert!(fault("hello", &key).starts_with("t.pem: no certificate is in it"));
    assert!(fault(&good, "").starts_with("t.key: no private key is in it"));
    assert!(fault(&good, &good).starts_with("t.key: no private key is in it"));
    assert!(fault(&good.replace("-----END", "-----"), &key).starts_with("t.pem: this is no PEM"));
    assert!(fault(&good, &key.replace("\nM", "\n!")).starts_with("t.key: this is no PEM"));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    assert!(fault(&good, encrypted).starts_with("t.key: the key is encrypted"));
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
               AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----";
    assert!(fault(&good, old).starts_with("t.key: the key is encrypted"));
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    assert!(fault(&good, nonsense).starts_with("t.key: the key can't be used"));
    let told = fault(&other, &key);
    assert!(told.starts_with("t.pem: the key in t.key belongs to another certificate"), "{told}");
    let told = fault(&format!("{other}{good}"), &key);
    assert!(told.starts_with("t.pem: the server's certificate isn't the first"), "{told}");
    assert_eq!(fault(&format!("{good}{other}"), &key), "");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    assert!(fault(nonsense, &key).starts_with("t.pem: the certificate can't be used"));
    fs::remove_file(place.path("t.pem")).unwrap();
    fs::create_dir(place.path("t.pem")).unwrap();
    assert_eq!(place.wrong("t").0, "t.pem: this is no regular file");
}

#[test]
fn what_should_be_mended_of_a_pair_is_told_and_it_is_used_all_the_same() {
    let place = Place::new();
    place.dated("past", &["a.example"], &PKCS_ECDSA_P256_SHA256, 2000, 2001);
    let told = place.wrong("past");
    assert_eq!(told.0, "");
    assert_eq!(told.1, "past.pem: the certificate expired on 2001-01-01T00:00:00Z; renew it");
    place.dated("future", &["a.example"], &PKCS_ECDSA_P256_SHA256, 3999, 4000);
    assert!(place.wrong("future").1.contains("isn't valid before 3999-01-01T00:00:00Z"));
    place.pair("open", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let mode = |mode| fs::set_permissions(place.path("open.key"), fs::Permissions::from_mode(mode));
    mode(0o640).unwrap();
    assert_eq!(place.wrong("open").1, "");
    mode(0o644).unwrap();
    let told = "open.key: every user of the machine can read the key: chmod o= open.key";
    assert_eq!(place.wrong("open").1, told);
    let tls = open(&place.config(&["open", "past"]), None);
    assert_eq!(shown(&tls, &[ECDSA], "a.example"), "open");
    let tls = open(&place.config(&["past"]), None);
    assert_eq!(shown(&tls, &[ECDSA], "a.example"), "past");
}

#[test]
fn a_pair_that_was_renewed_is_in_force_and_a_broken_one_is_not() {
    let place = Place::new();
    place.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let tls = open(&place.config(&["a"]), None);
    let chain = |tls: &Tls| {
        let client = Arc::new(client(&[ECDSA], None));
        let (client, _) = shake(tls, false, &client, "a.example").unwrap();
        client.peer_certificates().unwrap()[0].to_vec()
    };
    let look = |what: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !what() {
            tls.certificates.look();
            assert!(start.elapsed() < Duration::from_secs(10), "it was never seen");
            std::thread::yield_now();
        }
    };
    let first = chain(&tls);
    place.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    look(&|| chain(&tls) != first);
    let second = chain(&tls);
    let faults = || tls.certificates.trouble().iter().map(ToString::to_string).collect::<String>();

    place.dated("a", &["a.example"], &PKCS_ECDSA_P256_SHA256, 2000, 2001);
    look(&|| faults().contains("expired"));
    assert_eq!(chain(&tls), second, "an expired one doesn't take the place of a good one");
    place.pair("b", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    place.write("a.key", &place.read("b.key"));
    look(&|| faults().contains("belongs to another"));
    assert_eq!(chain(&tls), second);
    fs::remove_file(place.path("a.pem")).unwrap();
    look(&|| faults().contains("No such file"));
    assert_eq!(chain(&tls), second);
    place.write("a.pem", &place.read("b.pem"));
    look(&|| chain(&tls) != second);
    assert_eq!(faults(), "");
}

#[test]
fn without_a_good_certificate_there_is_no_tls() {
    let place = Place::new();
    let none = open(&place.config(&[]), None);
    assert!(none.server(false).is_none());
    let (broken, faults) = Tls::open(&place.config(&["x"]), &tickets().unwrap(), None).unwrap();
    assert!(broken.server(false).is_none() && faults.len() == 1);
    place.pair("x", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let start = Instant::now();
    while broken.server(false).is_none() {
        broken.certificates.look();
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(shown(&broken, &[ECDSA], "a.example"), "x");
}
