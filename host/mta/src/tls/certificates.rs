//! The server's certificates, watched, and the choice between them.

use std::fmt;
use std::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::fault::TlsFault;
use super::pair::{Pair, PairFiles};
use crate::config::CertificateFiles;
use crate::watch::Watched;

/// What only a client names that knows TLS 1.3.
const TLS13: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// The certificates of one configuration, the default first.
pub(super) struct Certificates(Vec<Arc<Watched<PairFiles>>>);

impl Certificates {
    pub(super) fn open(
        wanted: &[CertificateFiles],
        provider: &Arc<CryptoProvider>,
        before: Option<&Self>,
    ) -> (Self, Vec<TlsFault>) {
        let mut faults = Vec::new();
        let mut open = |files: &CertificateFiles| {
            let same = |watched: &&Arc<Watched<PairFiles>>| {
                watched.source.chain == files.chain && watched.source.key == files.key
            };
            let kept = before.and_then(|before| before.0.iter().find(same)).cloned();
            let watched = kept.unwrap_or_else(|| {
                let CertificateFiles { chain, key } = files.clone();
                Watched::new(PairFiles { chain, key, provider: provider.clone() })
            });
            watched.look(false);
            faults.extend(watched.trouble());
            watched
        };
        (Self(wanted.iter().map(&mut open).collect()), faults)
    }

    /// What should be mended of those that are good.
    pub(super) fn remarks(&self) -> Vec<TlsFault> {
        let pairs = self.0.iter().filter_map(|watched| watched.content().clone());
        pairs.flat_map(|pair| pair.remarks.clone()).collect()
    }

    /// What is wrong with the files now.
    #[cfg(test)]
    pub(super) fn trouble(&self) -> Vec<TlsFault> {
        self.0.iter().flat_map(|watched| watched.trouble()).collect()
    }

    /// Whether there is none, good or not.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks whether files changed.
    pub(super) fn look(&self) {
        for watched in &self.0 {
            watched.look(true);
        }
    }

    /// Whether any is good.
    pub(super) fn is_usable(&self) -> bool {
        self.0.iter().any(|watched| watched.content().is_some())
    }
}

impl ResolvesServerCert for Certificates {
    /// The first of those for the name that the client asks for that it can verify; the first that
    /// it can verify where none is for that name: mail servers are reached by names that their
    /// certificates lack, and most don't mind.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let good = self.0.iter().filter_map(|watched| watched.content().clone());
        let usable: Vec<Arc<Pair>> = good.filter(|pair| can_verify(&hello, pair)).collect();
        let of_name = |pair: &&Arc<Pair>| name.as_ref().is_some_and(|name| pair.is_for(name));
        let chosen = usable.iter().find(of_name).or(usable.first())?;
        Some(chosen.certified.clone())
    }
}

/// Whether the client knows such signatures and, before TLS 1.3, the curve of the key (RFC 8422
/// section 5.1.1).
fn can_verify(hello: &ClientHello<'_>, pair: &Pair) -> bool {
    let is_new = || hello.cipher_suites().iter().any(|suite| TLS13.contains(suite));
    let knows = |curve| hello.named_groups().is_none_or(|groups| groups.contains(&curve));
    pair.certified.key.choose_scheme(hello.signature_schemes()).is_some()
        && (is_new() || pair.curve().is_none_or(knows))
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chains = self.0.iter().map(|watched| &watched.source.chain);
        f.debug_list().entries(chains).finish()
    }
}
