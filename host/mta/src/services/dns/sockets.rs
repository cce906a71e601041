//! The sockets of the resolver: so many at once, whatever is asked.
//!
//! Each question by UDP has a socket of its own, so that its port can't be guessed; a server that
//! doesn't answer holds some of them for seconds. Who finds none waits, within the time that its
//! question has. A connection by TCP, one for each server, isn't counted.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Opens sockets for the resolver. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sockets {
    inner: TokioRuntimeProvider,
    places: Arc<Semaphore>,
}

impl Sockets {
    /// So many at once.
    pub(super) fn new(most: usize) -> Self {
        let places = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Self { inner: TokioRuntimeProvider::default(), places }
    }
}

/// A socket, and its place among them.
pub(super) struct Counted {
    socket: UdpSocket,
    _place: OwnedSemaphorePermit,
}

impl DnsUdpSocket for Counted {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        DnsUdpSocket::poll_recv_from(&self.socket, context, buffer)
    }

    fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        buffer: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        DnsUdpSocket::poll_send_to(&self.socket, context, buffer, target)
    }
}

/// What the resolver waits for.
type Opening<T> = Pin<Box<dyn Send + Future<Output = io::Result<T>>>>;

impl RuntimeProvider for Sockets {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = Counted;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.inner.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        from: Option<SocketAddr>,
        patience: Option<Duration>,
    ) -> Opening<Self::Tcp> {
        self.inner.connect_tcp(server, from, patience)
    }

    fn bind_udp(&self, local: SocketAddr, _server: SocketAddr) -> Opening<Self::Udp> {
        let places = self.places.clone();
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            Ok(Counted { socket: UdpSocket::bind(local).await?, _place: place })
        })
    }
}
