//! The authorities that vouch for certificates of clients, from a file of PEM, watched.

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
pub(super) struct Authorities(pub Arc<dyn ClientCertVerifier>);

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
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let verifier = builder.build();
        verifier.map(Authorities).map_err(|error| fault(What::Certificate(error.to_string())))
    }

    fn unreadable(&self, path: &Path, reason: String) -> TlsFault {
        TlsFault::new(path, What::Unreadable(reason))
    }

    fn tell(&self, _new: &Authorities) {
        tracing::info!(file = %self.path.display(), "authorities of clients read");
    }
}
