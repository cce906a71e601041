//! The TLS handshake with a client: bounded in time, and in number at once.
//!
//! A client that is slow takes a place from others for so long at most; who waits for a place does
//! so within the same time. What is computed stays on the event loop: a millisecond for a client
//! that is new, less for one that comes again.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::mta::{Mta, told_to_stop};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// It took too long.
    #[error("not done in time")]
    TimedOut,
    /// None of ours is good.
    #[error("no certificate can be used: `facteur check` tells why")]
    NoCertificate,
    /// There is TLS already: the machine asked for it out of turn.
    #[error("not in the clear")]
    OutOfTurn,
    /// The client has had too many.
    #[error("too many handshakes in a minute (client-tls-rate)")]
    TooMany,
    /// All places were taken, and others waited for this one.
    #[error("it lost its place")]
    LostPlace,
    /// The program stops.
    #[error("the program stops")]
    Stopping,
    /// What came is no TLS, or none that we agree on; or the connection ended.
    #[error("{0}")]
    Failed(#[from] io::Error),
}

/// Negotiates TLS. The connection is closed if it fails.
pub(super) async fn handshake(
    mta: &Mta,
    server: Arc<ServerConfig>,
    stream: TcpStream,
) -> Result<Box<TlsStream<TcpStream>>, HandshakeError> {
    let limit = mta.in_force.load().config.tls.timeout;
    let negotiate = async {
        // It is never closed; without a place nobody would be let in.
        let _place = mta.handshakes.acquire().await.map_err(io::Error::other)?;
        let stream = TlsAcceptor::from(server).accept(stream).await?;
        Ok(Box::new(stream))
    };
    let mut stopping = mta.stopping.clone();
    tokio::select! {
        done = tokio::time::timeout(limit, negotiate) => {
            done.unwrap_or(Err(HandshakeError::TimedOut))
        }
        () = told_to_stop(&mut stopping) => Err(HandshakeError::Stopping),
    }
}
