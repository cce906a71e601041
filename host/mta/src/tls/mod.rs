//! TLS (RFC 3207, RFC 8314). Of the server: which certificate a client is shown, who it says it is,
//! and what was agreed on. Of the client: [`ClientTls`].
//!
//! Files are watched as tables are: a certificate that was renewed is in force within two seconds,
//! and one that is broken leaves the last good one in force. Keys of tickets belong to the program:
//! a session is resumed whatever was reloaded meanwhile. TLS 1.2 and 1.3; what the wire says is
//! rustls's, on aws-lc.
//!
//! Knows no socket and no SMTP.

mod authorities;
mod certificates;
mod client;
mod clients;
mod established;
mod fault;
mod names;
mod pair;
mod servers;

use std::io;
use std::sync::Arc;

use facteur_policy::TlsFacts;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{ServerConfig, ServerConnection};

use crate::config;
use crate::watch::{self, Watched};
use authorities::AuthoritiesFile;
use certificates::Certificates;
pub use client::{ClientTls, Demand, Distrust, Secured};
use clients::AnyClient;
pub use fault::TlsFault;

/// What makes tickets, and reads them (RFC 8446 section 4.6.1, RFC 5077): its keys change by
/// themselves every six hours.
pub type Tickets = Arc<dyn ProducesTickets>;

/// Makes what makes tickets.
///
/// # Errors
/// There is no random number.
pub fn tickets() -> Result<Tickets, rustls::Error> {
    Ticketer::new()
}

/// TLS of one configuration.
pub struct Tls {
    certificates: Arc<Certificates>,
    authorities: Option<Arc<Watched<AuthoritiesFile>>>,
    /// For clients that aren't asked for a certificate, and for those that are.
    servers: [Arc<ServerConfig>; 2],
}

impl Tls {
    /// Opens the files, and tells everything that keeps one from being used. `before` is what this
    /// one takes the place of: files that stay the same keep their last good version.
    ///
    /// # Errors
    /// The library can't do TLS 1.2 and 1.3 with what it has.
    pub fn open(
        wanted: &config::Tls,
        tickets: &Tickets,
        before: Option<&Self>,
    ) -> Result<(Arc<Self>, Vec<TlsFault>), rustls::Error> {
        let provider = Arc::new(default_provider());
        let (certificates, mut faults) = Certificates::open(
            &wanted.certificates,
            &provider,
            before.map(|before| &*before.certificates),
        );
        let certificates = Arc::new(certificates);
        let authorities = wanted.client_authorities.as_ref().map(|path| {
            let kept = before.and_then(|before| before.authorities.clone());
            let watched =
                kept.filter(|watched| watched.source.path == *path).unwrap_or_else(|| {
                    let (path, provider) = (path.clone(), provider.clone());
                    Watched::new(AuthoritiesFile { path, provider })
                });
            watched.look(false);
            faults.extend(watched.trouble());
            watched
        });
        let server = |asks| server(&provider, certificates.clone(), tickets, asks);
        let servers = [server(false)?, server(true)?];
        Ok((Arc::new(Self { certificates, authorities, servers }), faults))
    }

    /// What should be mended of the files that can be used.
    pub fn remarks(&self) -> Vec<TlsFault> {
        self.certificates.remarks()
    }

    /// Starts the thread that watches the files. It ends when nobody else holds this.
    ///
    /// # Errors
    /// The thread can't be had.
    pub fn watch(self: &Arc<Self>) -> io::Result<()> {
        if self.certificates.is_empty() {
            return Ok(());
        }
        watch::keep_looking("certificates", Arc::downgrade(self), |tls| {
            tls.certificates.look();
            if let Some(authorities) = &tls.authorities {
                authorities.look(true);
            }
        })
    }

    /// What serves a client, which may be asked for a certificate; none where no certificate of
    /// ours is good.
    pub fn server(&self, asks: bool) -> Option<Arc<ServerConfig>> {
        self.certificates.is_usable().then(|| self.servers[usize::from(asks)].clone())
    }

    /// What a handshake that is done agreed on.
    pub fn established(&self, connection: &ServerConnection, asked: bool) -> TlsFacts {
        let authorities = self.authorities.as_ref().and_then(|watched| watched.content().clone());
        established::facts(connection, asked, authorities.as_deref())
    }
}

fn server(
    provider: &Arc<CryptoProvider>,
    certificates: Arc<Certificates>,
    tickets: &Tickets,
    asks: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = if asks {
        builder.with_client_cert_verifier(Arc::new(AnyClient::new(provider)))
    } else {
        builder.with_no_client_auth()
    };
    let mut server = builder.with_cert_resolver(certificates);
    server.ticketer = tickets.clone();
    // A mail client comes again for its next message, hardly ever for two at once.
    server.send_tls13_tickets = 1;
    // What can be resumed is in the tickets: nothing is kept for clients here.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(server))
}

#[cfg(test)]
mod tests;
