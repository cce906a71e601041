//! Where another program of the operator's listens: a TCP port or a unix socket, and a connection
//! to it.
//!
//! Names are looked up as the system does it, hosts file included: these are the operator's own
//! machines, not those of mail.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A place to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A host's name or address, without brackets, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// A connection, of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Endpoint {
    /// Reads `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn tcp(text: &str) -> Result<Self, String> {
        let split =
            text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port) =
            split.filter(|(host, port)| !host.is_empty() && *port > 0).ok_or_else(wanted)?;
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let right = match inner {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        };
        if right { Ok(Self::Tcp(inner.unwrap_or(host).to_owned(), port)) } else { Err(wanted()) }
    }

    /// Connects.
    ///
    /// # Errors
    /// The system's, or that it took longer than this.
    pub async fn connect(&self, limit: Duration) -> io::Result<Box<dyn Stream>> {
        let connect = async {
            Ok(match self {
                Self::Tcp(host, port) => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await?;
                    // What is written goes out whole: waiting for more only costs time.
                    stream.set_nodelay(true)?;
                    Box::new(stream) as Box<dyn Stream>
                }
                Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            })
        };
        let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        tokio::time::timeout(limit, connect).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

fn wanted() -> String {
    "write \"127.0.0.1:3310\", \"host:3310\", \"[::1]:3310\", or the path of a unix socket"
        .to_owned()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_hosts_are_written_in_one_way() {
        for text in ["127.0.0.1:3310", "clamd.example:3310", "[::1]:3310"] {
            assert_eq!(Endpoint::tcp(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "clamd",
            "clamd:",
            ":3310",
            "clamd:0",
            "clamd:99999",
            "::1:3310",
            "[clamd]:3310",
            "a b:1",
        ] {
            assert!(Endpoint::tcp(wrong).is_err(), "{wrong}");
        }
    }
}
