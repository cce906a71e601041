//! The connection that a client says through who it is.

use std::net::SocketAddr;

use super::scram::Binding;

/// What matters of it to those who judge.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The client's end.
    pub client: SocketAddr,
    /// Our own.
    pub server: SocketAddr,
    /// It is under TLS.
    pub tls: bool,
    /// What an exchange can be bound to.
    pub binding: Binding,
}
