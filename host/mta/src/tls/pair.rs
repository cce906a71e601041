//! A certificate with those of its authorities, and its key: PEM in two files or in one.
//!
//! A pair whose dates are over is shown all the same when there is nothing better: most clients
//! don't look, and those that do see what is wrong. It never takes the place of a good one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, NamedGroup, SignatureScheme};
use x509_cert::der::Decode as _;

use super::fault::{TlsFault, What};
use crate::watch::Source;

/// What may be done by those who are neither the owner of a file nor in its group.
const OTHERS: u32 = 0o007;

/// The files of a pair.
pub(super) struct PairFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
    pub provider: Arc<CryptoProvider>,
}

/// A pair that can be used.
pub(super) struct Pair {
    pub certified: Arc<CertifiedKey>,
    /// What the operator should mend all the same.
    pub remarks: Vec<TlsFault>,
}

impl Pair {
    /// Whether the certificate is one for this name.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let certificate = self.certified.cert.first();
        certificate.and_then(|der| ParsedCertificate::try_from(der).ok()).is_some_and(
            |certificate| rustls::client::verify_server_name(&certificate, name).is_ok(),
        )
    }

    /// The curve of the key, if it is on one that has a group of its own.
    pub(super) fn curve(&self) -> Option<NamedGroup> {
        const CURVES: [(SignatureScheme, NamedGroup); 3] = [
            (SignatureScheme::ECDSA_NISTP256_SHA256, NamedGroup::secp256r1),
            (SignatureScheme::ECDSA_NISTP384_SHA384, NamedGroup::secp384r1),
            (SignatureScheme::ECDSA_NISTP521_SHA512, NamedGroup::secp521r1),
        ];
        let signs = |scheme| self.certified.key.choose_scheme(&[scheme]).is_some();
        CURVES.into_iter().find(|(scheme, _)| signs(*scheme)).map(|(_, group)| group)
    }
}

impl Source for PairFiles {
    type Content = Pair;
    type Fault = TlsFault;

    /// A chain is a few certificates of a few KiB.
    const LIMIT: u64 = 1 << 20;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let key = (self.key != self.chain).then_some(self.key.as_path());
        std::iter::once(self.chain.as_path()).chain(key)
    }

    fn parse(&self, files: &[Vec<u8>], before: Option<&Pair>) -> Result<Pair, Vec<TlsFault>> {
        let (Some(chain), Some(key)) = (files.first(), files.last()) else {
            return Err(Vec::new());
        };
        let certified = self.certified(chain, key).map_err(|fault| vec![fault])?;
        let dates = dates(&certified).map(|what| TlsFault::new(&self.chain, what));
        if before.is_some_and(|before| dates.is_some() && before.certified.cert != certified.cert) {
            return Err(dates.into_iter().collect());
        }
        let mode = std::fs::metadata(&self.key).map(|metadata| metadata.permissions().mode());
        let open = mode.is_ok_and(|mode| mode & OTHERS != 0);
        let open = open.then(|| TlsFault::new(&self.key, What::Open(self.key.clone())));
        let remarks = dates.into_iter().chain(open).collect();
        Ok(Pair { certified: Arc::new(certified), remarks })
    }

    fn unreadable(&self, path: &Path, reason: String) -> TlsFault {
        TlsFault::new(path, What::Unreadable(reason))
    }

    fn tell(&self, new: &Pair) {
        for remark in &new.remarks {
            tracing::warn!("{remark}");
        }
        tracing::info!(file = %self.chain.display(), "certificate read");
    }
}

impl PairFiles {
    fn certified(&self, chain: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsFault> {
        let of_chain = |what| TlsFault::new(&self.chain, what);
        let of_key = |what| TlsFault::new(&self.key, what);
        let pem = |error: PemError| What::Pem(error.to_string());
        let certificates = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| of_chain(pem(error)))?;
        if certificates.is_empty() {
            return Err(of_chain(What::NoCertificate));
        }
        let encrypted = String::from_utf8_lossy(key).contains("ENCRYPTED");
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            of_key(match error {
                _ if encrypted => What::EncryptedKey,
                PemError::NoItemsFound => What::NoKey,
                other => pem(other),
            })
        })?;
        let key = self.provider.key_provider.load_private_key(key).map_err(|error| {
            of_key(if encrypted { What::EncryptedKey } else { What::Key(error.to_string()) })
        })?;
        let certified = CertifiedKey::new(certificates, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) if fits_another(&certified) => {
                Err(of_chain(What::NotFirst))
            }
            Err(Error::InconsistentKeys(_)) => {
                Err(of_chain(What::OtherKey { key: self.key.clone() }))
            }
            Err(error) => Err(of_chain(What::Certificate(error.to_string()))),
        }
    }
}

/// Whether the key is that of a certificate further down.
fn fits_another(certified: &CertifiedKey) -> bool {
    certified.cert.iter().skip(1).any(|certificate| {
        CertifiedKey::new(vec![certificate.clone()], certified.key.clone()).keys_match().is_ok()
    })
}

/// What is wrong with the dates of the first certificate.
fn dates(certified: &CertifiedKey) -> Option<What> {
    let certificate = x509_cert::Certificate::from_der(certified.cert.first()?);
    let validity = match certificate {
        Ok(certificate) => certificate.tbs_certificate.validity,
        Err(error) => return Some(What::Certificate(error.to_string())),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (from, to) = (validity.not_before, validity.not_after);
    if now > to.to_unix_duration() + Duration::from_secs(1) {
        Some(What::Expired(to.to_date_time().to_string()))
    } else if now < from.to_unix_duration() {
        Some(What::Early(from.to_date_time().to_string()))
    } else {
        None
    }
}
