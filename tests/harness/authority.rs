//! A certificate authority of the test's own, and clients that trust it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ResolvesServerCertUsingSni, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::machine::Machine;

/// What kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2,048 bits.
    Rsa,
}

/// An authority. Its files are in `/etc/tls`: `ca.pem`, and `NAME.pem` with `NAME.key` for what it
/// issued.
pub struct Authority<'a> {
    machine: &'a Machine,
    issuer: Issuer<'static, KeyPair>,
}

impl<'a> Authority<'a> {
    /// A new one.
    pub fn new(machine: &'a Machine) -> Self {
        let key = KeyPair::generate().expect("there are random numbers");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Authority");
        let certificate = params.self_signed(&key).expect("a certificate can be made");
        machine.write("/etc/tls/ca.pem", &certificate.pem());
        Self { machine, issuer: Issuer::new(params, key) }
    }

    /// Issues a certificate for these names, whose common name is `name`.
    pub fn issue(&self, name: &str, names: &[&str], key: Key) {
        self.issue_until(name, names, key, 4000);
    }

    /// [`Authority::issue`], valid to the beginning of this year.
    pub fn issue_until(&self, name: &str, names: &[&str], key: Key, year: i32) {
        let kind = match key {
            Key::Ecdsa => &PKCS_ECDSA_P256_SHA256,
            Key::Rsa => &PKCS_RSA_SHA256,
        };
        let key = KeyPair::generate_for(kind).expect("there are random numbers");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names are ASCII");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        // OpenSSL asks for it where it is strict.
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        self.put(&format!("{name}.key"), &key.serialize_pem());
        self.put(&format!("{name}.pem"), &certificate.pem());
    }

    /// Makes a certificate for these names that nobody vouches for.
    pub fn self_signed(&self, name: &str, names: &[&str]) {
        let key = KeyPair::generate().expect("there are random numbers");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names are ASCII");
        let certificate = params.self_signed(&key).expect("a certificate can be made");
        self.put(&format!("{name}.key"), &key.serialize_pem());
        self.put(&format!("{name}.pem"), &certificate.pem());
    }

    /// Writes a file in place of another at once, as those who renew certificates do.
    pub fn put(&self, name: &str, text: &str) {
        let new = self.machine.write("/etc/tls/new", text);
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("/etc is the test's");
        fs::rename(&new, Self::path(name)).expect("/etc is the test's");
    }

    /// Where a file is.
    pub fn path(name: &str) -> PathBuf {
        PathBuf::from("/etc/tls").join(name)
    }

    /// The `[[tls.certificate]]` sections of these.
    pub fn sections(names: &[&str]) -> String {
        let section = |name: &&str| {
            format!(
                "[[tls.certificate]]\nchain = \"/etc/tls/{name}.pem\"\nkey = \
                 \"/etc/tls/{name}.key\"\n"
            )
        };
        names.iter().map(section).collect()
    }

    /// A server with this certificate, which asks clients for one that this authority issued, and
    /// takes them without.
    pub fn server(name: &str) -> Arc<ServerConfig> {
        let read = |name: &str| {
            CertificateDer::from_pem_file(Self::path(name)).expect("the authority wrote it")
        };
        let mut roots = RootCertStore::empty();
        roots.add(read("ca.pem")).expect("it is an authority");
        let clients = WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build()
            .expect("there is an authority");
        let key = PrivateKeyDer::from_pem_file(Self::path(&format!("{name}.key")))
            .expect("the authority wrote it");
        let builder = ServerConfig::builder().with_client_cert_verifier(clients);
        let key = builder.crypto_provider().key_provider.load_private_key(key);
        // Whether both belong together isn't looked at: that can't be told of version 1.
        let pair = CertifiedKey::new(
            vec![read(&format!("{name}.pem"))],
            key.expect("the authority made the key"),
        );
        Arc::new(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair))))
    }

    /// A server that agrees with nobody: it has no certificate.
    pub fn unable() -> Arc<ServerConfig> {
        let nobody = Arc::new(ResolvesServerCertUsingSni::new());
        Arc::new(ServerConfig::builder().with_no_client_auth().with_cert_resolver(nobody))
    }

    /// A client that trusts this authority alone, and shows a certificate if one is named.
    pub fn client(own: Option<&str>) -> Arc<ClientConfig> {
        let read = |name: &str| {
            CertificateDer::from_pem_file(Self::path(name)).expect("the authority wrote it")
        };
        let mut roots = RootCertStore::empty();
        roots.add(read("ca.pem")).expect("it is an authority");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(Self::path(&format!("{name}.key")))
                    .expect("the authority wrote it");
                builder
                    .with_client_auth_cert(vec![read(&format!("{name}.pem"))], key)
                    .expect("the authority made both")
            }
        })
    }
}
