//! The first step of a connection from a proxy that the operator named: who is behind it.
//!
//! Nothing is believed of others, and nothing is served to a proxy that doesn't say it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use facteur_smtp::{Proxied, ProxyError, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// How long the header may take, as Postfix's `smtpd_upstream_proxy_timeout`.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why it isn't known who is behind a proxy.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxiedError {
    /// It says nothing, or too little.
    #[error("no PROXY header in time")]
    TimedOut,
    /// It says something else.
    #[error(transparent)]
    Header(#[from] ProxyError),
    /// The connection ended.
    #[error("the connection ended before a PROXY header: {0}")]
    Connection(#[from] io::Error),
}

/// Reads the header, and not an octet more. The addresses are the connection's own where the proxy
/// speaks for itself, as in a check of its own.
pub(super) async fn proxied(
    stream: &mut TcpStream,
    proxy: SocketAddr,
) -> Result<Proxied, ProxiedError> {
    let read = async {
        let mut header = Vec::new();
        loop {
            match ProxyHeader::parse(&header)? {
                ProxyHeader::Whole(Some(proxied)) => return Ok(proxied),
                ProxyHeader::Whole(None) => {
                    return Ok(Proxied { client: proxy, local: stream.local_addr()? });
                }
                ProxyHeader::Needs(more) => {
                    let known = header.len();
                    header.resize(known + more, 0);
                    stream.read_exact(&mut header[known..]).await?;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or(Err(ProxiedError::TimedOut))
}
