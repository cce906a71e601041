//! TLS of the client: what is offered to servers, what they are shown, and who they are.
//!
//! A handshake ends well with any server. [`ClientTls::judge`] says afterwards, of a session that
//! was resumed too, whether it is who it must be. Sessions are remembered in memory alone.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use x509_cert::der::{Decode as _, Encode as _};

use super::authorities::{AuthoritiesFile, of_the_system};
use super::fault::TlsFault;
use super::pair::PairFiles;
use super::servers::AnyServer;
use super::{established, names};
use crate::config::{CertificateFiles, DeliveryTls, Fingerprint, TlsVersions};
use crate::watch::{self, Watched};

/// Servers whose sessions are remembered; some KiB each.
const SESSIONS: usize = 1_000;

/// TLS of the client, by one configuration.
pub struct ClientTls {
    /// For 1.2 and 1.3, for 1.2 alone, for 1.3 alone.
    configs: [Arc<ClientConfig>; 3],
    provider: Arc<CryptoProvider>,
    authorities: Roots,
    own: Option<Arc<Watched<PairFiles>>>,
}

/// Where the authorities are.
enum Roots {
    System(Arc<RootCertStore>),
    File(Arc<Watched<AuthoritiesFile>>),
}

/// Who a server must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Demand {
    /// Anybody.
    Nobody,
    /// Whose certificate, or its key, has one of these sums.
    Fingerprint(Vec<Fingerprint>),
    /// For whom an authority vouches, in one of these names; with a leading dot any name below.
    Name(Vec<String>),
}

/// What a handshake came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// Who the server is, as far as was asked or is known.
    pub trust: Trust,
    version: &'static str,
    cipher: &'static str,
    bits: u16,
}

/// Who a server is, in Postfix's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Anybody.
    Untrusted,
    /// An authority vouches for it, in whatever name.
    Trusted,
    /// It is who it must be.
    Verified,
}

/// Why a server isn't who it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It showed none.
    #[error("it has no certificate")]
    NoCertificate,
    /// None has a sum that was named.
    #[error("its certificate has the fingerprint {0}, which isn't one of those wanted")]
    Fingerprint(String),
    /// No authority vouches for it, or not now.
    #[error("its certificate isn't trusted: {0}")]
    Authority(String),
    /// It is somebody else's.
    #[error("its certificate is for {}, not for {wanted}", list(.names))]
    Name {
        /// Its names.
        names: Vec<String>,
        /// What would do.
        wanted: String,
    },
}

/// Names of a certificate that an error tells of.
const TOLD: usize = 5;

fn list(names: &[String]) -> String {
    let more = if names.len() > TOLD { " and others" } else { "" };
    let told = names.iter().take(TOLD).map(|name| name.escape_default().to_string());
    let told: Vec<String> = told.collect();
    if told.is_empty() { "nobody".to_owned() } else { format!("{}{more}", told.join(", ")) }
}

impl fmt::Display for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust, version, cipher, bits } = self;
        let trust = match trust {
            Trust::Untrusted => "Untrusted",
            Trust::Trusted => "Trusted",
            Trust::Verified => "Verified",
        };
        write!(f, "{trust} {version} with cipher {cipher} ({bits}/{bits} bits)")
    }
}

impl ClientTls {
    /// Opens the files, and tells everything that keeps one from being used. `before` is what this
    /// one takes the place of: files that stay the same keep their last good version. Reads files:
    /// never on the event loop.
    ///
    /// # Errors
    /// The library can't do TLS 1.2 and 1.3 with what it has.
    pub fn open(
        wanted: &DeliveryTls,
        before: Option<&Self>,
    ) -> Result<(Arc<Self>, Vec<TlsFault>), rustls::Error> {
        let provider = Arc::new(default_provider());
        let mut faults = Vec::new();
        let authorities = match &wanted.authorities {
            None => Roots::System(of_the_system()),
            Some(path) => {
                let kept = before.and_then(|before| match &before.authorities {
                    Roots::File(watched) => Some(watched),
                    Roots::System(_) => None,
                });
                let kept = kept.filter(|watched| watched.source.path == *path).cloned();
                let watched = kept.unwrap_or_else(|| {
                    let (path, provider) = (path.clone(), provider.clone());
                    Watched::new(AuthoritiesFile { path, provider })
                });
                watched.look(false);
                faults.extend(watched.trouble());
                Roots::File(watched)
            }
        };
        let own = wanted.certificate.as_ref().map(|CertificateFiles { chain, key }| {
            let kept = before.and_then(|before| before.own.as_ref());
            let same = |watched: &&Arc<Watched<PairFiles>>| {
                watched.source.chain == *chain && watched.source.key == *key
            };
            let watched = kept.filter(same).cloned().unwrap_or_else(|| {
                let (chain, key, provider) = (chain.clone(), key.clone(), provider.clone());
                Watched::new(PairFiles { chain, key, provider })
            });
            watched.look(false);
            faults.extend(watched.trouble());
            watched
        });
        let shown = Arc::new(Own(own.clone()));
        let any = Arc::new(AnyServer::new(&provider));
        let resumption = Resumption::in_memory_sessions(SESSIONS);
        let config = |versions| {
            let builder = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(versions)?
                .dangerous()
                .with_custom_certificate_verifier(any.clone());
            let mut config = builder.with_client_cert_resolver(shown.clone());
            config.resumption = resumption.clone();
            Ok::<_, rustls::Error>(Arc::new(config))
        };
        let configs = [config(&[&TLS13, &TLS12])?, config(&[&TLS12])?, config(&[&TLS13])?];
        Ok((Arc::new(Self { configs, provider, authorities, own }), faults))
    }

    /// What should be mended of the files that can be used.
    pub fn remarks(&self) -> Vec<TlsFault> {
        let own = self.own.as_ref().and_then(|watched| watched.content().clone());
        own.map(|pair| pair.remarks.clone()).unwrap_or_default()
    }

    /// Starts the thread that watches the files. It ends when nobody else holds this.
    ///
    /// # Errors
    /// The thread can't be had.
    pub fn watch(self: &Arc<Self>) -> io::Result<()> {
        if self.own.is_none() && matches!(self.authorities, Roots::System(_)) {
            return Ok(());
        }
        watch::keep_looking("certificates", Arc::downgrade(self), |tls| {
            if let Roots::File(watched) = &tls.authorities {
                watched.look(true);
            }
            if let Some(own) = &tls.own {
                own.look(true);
            }
        })
    }

    /// What speaks these versions.
    pub fn config(&self, versions: TlsVersions) -> Arc<ClientConfig> {
        let [both, only12, only13] = &self.configs;
        match versions {
            TlsVersions::Both => both.clone(),
            TlsVersions::Only12 => only12.clone(),
            TlsVersions::Only13 => only13.clone(),
        }
    }

    /// Whether the server of a handshake that is done is who it must be.
    ///
    /// # Errors
    /// Why it isn't.
    pub fn judge(
        &self,
        connection: &ClientConnection,
        demand: &Demand,
    ) -> Result<Secured, Distrust> {
        let chain = connection.peer_certificates().and_then(<[_]>::split_first);
        let trust = match (demand, chain) {
            (Demand::Nobody, None) => Trust::Untrusted,
            (_, None) => return Err(Distrust::NoCertificate),
            (Demand::Nobody, Some((own, others))) => match self.vouched(own, others) {
                Ok(()) => Trust::Trusted,
                Err(_) => Trust::Untrusted,
            },
            (Demand::Fingerprint(wanted), Some((own, _))) => {
                let whole = Sha256::digest(own).into();
                let found = [Some(whole), key(own)];
                if !found.iter().flatten().any(|sum| wanted.contains(sum)) {
                    return Err(Distrust::Fingerprint(established::hexadecimal(&whole)));
                }
                Trust::Verified
            }
            (Demand::Name(wanted), Some((own, others))) => {
                self.vouched(own, others)?;
                let names = names::of(own);
                let right =
                    names.iter().any(|name| wanted.iter().any(|wanted| names::fits(name, wanted)));
                if !right {
                    return Err(Distrust::Name { names, wanted: wanted.join(" or ") });
                }
                Trust::Verified
            }
        };
        let (version, cipher, bits) = established::agreed(connection);
        Ok(Secured { trust, version, cipher, bits })
    }

    /// Whether an authority vouches for it now.
    fn vouched(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Distrust> {
        let roots = match &self.authorities {
            Roots::System(roots) => Some(roots.clone()),
            Roots::File(watched) => {
                watched.content().as_ref().map(|authorities| authorities.roots.clone())
            }
        };
        let roots = roots.filter(|roots| !roots.is_empty()).ok_or_else(|| {
            let text = "no authority is known here: set ca-file in [delivery.tls]";
            Distrust::Authority(text.to_owned())
        })?;
        let told = |error: rustls::Error| {
            let text = error.to_string();
            let text = text.strip_prefix("invalid peer certificate: ").unwrap_or(&text);
            Distrust::Authority(text.to_owned())
        };
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own).map_err(told)?,
            &roots,
            others,
            UnixTime::now(),
            self.provider.signature_verification_algorithms.all,
        )
        .map_err(told)
    }
}

/// SHA-256 of the key of a certificate.
fn key(certificate: &CertificateDer<'_>) -> Option<Fingerprint> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate.subject_public_key_info.to_der().ok()?;
    Some(Sha256::digest(key).into())
}

/// Our own certificate, for servers that ask for one.
#[derive(Clone)]
struct Own(Option<Arc<Watched<PairFiles>>>);

impl ResolvesClientCert for Own {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let pair = self.0.as_ref()?.content().clone()?;
        pair.certified.key.choose_scheme(sigschemes).map(|_| pair.certified.clone())
    }

    fn has_certs(&self) -> bool {
        self.0.as_ref().is_some_and(|watched| watched.content().is_some())
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.0.as_ref().map(|own| &own.source.chain)).finish()
    }
}
