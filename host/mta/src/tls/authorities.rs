//! The authorities that vouch for certificates, from a file of PEM, watched; or the system's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::fault::{TlsFault, What};
use crate::watch::Source;

/// The file.
pub(super) struct AuthoritiesFile {
    pub path: PathBuf,
    pub provider: Arc<CryptoProvider>,
}

/// The authorities.
pub(super) struct Authorities {
    pub roots: Arc<RootCertStore>,
    /// What judges a certificate of a client by them.
    pub of_clients: Arc<dyn ClientCertVerifier>,
}

/// Those that the system trusts. None where it has none, or none that can be read.
pub(super) fn of_the_system() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

impl Source for AuthoritiesFile {
    type Content = Authorities;
    type Fault = TlsFault;

    /// All authorities of the web have some hundred KiB.
    const LIMIT: u64 = 16 << 20;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path())
    }

    fn parse(
        &self,
        files: &[Vec<u8>],
        _before: Option<&Authorities>,
    ) -> Result<Authorities, Vec<TlsFault>> {
        let fault = |what| vec![TlsFault::new(&self.path, what)];
        let bytes = files.first().map_or(&[][..], Vec::as_slice);
        let certificates = CertificateDer::pem_slice_iter(bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fault(What::Pem(error.to_string())))?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(fault(What::NoCertificate));
        }
        let roots = Arc::new(roots);
        let of_clients =
            WebPkiClientVerifier::builder_with_provider(roots.clone(), self.provider.clone())
                .build()
                .map_err(|error| fault(What::Certificate(error.to_string())))?;
        Ok(Authorities { roots, of_clients })
    }

    fn unreadable(&self, path: &Path, reason: String) -> TlsFault {
        TlsFault::new(path, What::Unreadable(reason))
    }

    fn tell(&self, _new: &Authorities) {
        tracing::info!(file = %self.path.display(), "authorities read");
    }
}
