//! Listens on one address, and starts a session for each client.
//!
//! Whom it lets in is said by [`super::admission`]: others hear 421 and go. It knows nothing of
//! SMTP but that.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use facteur_smtp::Proxied;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::accepting::Accepting;
use crate::config::{self, Listen, TlsMode};
use crate::receive::admission::{Admission, Admitted, TurnedAway};
use crate::receive::mta::{Mta, told_to_stop};
use crate::receive::proxied::proxied;
use crate::receive::session;

/// Clients that may wait for accept.
const BACKLOG: i32 = 1024;

/// A bound address.
pub struct Listener {
    socket: TcpListener,
    listen: Listen,
}

impl Listener {
    /// Binds the address. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system's: the address is in use, isn't ours, or needs a privilege.
    pub fn bind(listen: Listen) -> io::Result<Self> {
        let address = listen.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // For its connections, which have it from here: replies are whole segments already, and
        // waiting for more makes the client wait.
        socket.set_tcp_nodelay(true)?;
        if address.is_ipv6() {
            // "[::]:25" and "0.0.0.0:25" are two listeners, whatever the system's default.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: TcpListener::from_std(socket.into())?, listen })
    }

    /// The bound address; its port is the system's choice where the configuration says 0.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes clients until the program stops, then waits for the sessions to end.
    pub async fn run(self, mta: Arc<Mta>) {
        let mut stopping = mta.stopping.clone();
        let door = Arc::new(Door::new(mta, self.listen));
        let mut accepting = Accepting::new(&*door.listen.name);
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = told_to_stop(&mut stopping) => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
            };
            match accepted {
                Ok((stream, peer)) if door.is_proxy(peer) => {
                    sessions.spawn(door.clone().behind_proxy(stream, peer));
                }
                Ok((stream, client)) => {
                    if let Some(admitted) = door.admit(&stream, client) {
                        let local = stream.local_addr().unwrap_or(client);
                        let found = Proxied { client, local };
                        let (mta, listen) = (door.mta.clone(), door.listen.clone());
                        sessions.spawn(session::serve(mta, listen, stream, found, None, admitted));
                    }
                }
                Err(error) => accepting.failed(&error).await,
            }
        }
        drop(self.socket);
        while sessions.join_next().await.is_some() {}
    }
}

/// What the connections of a listener share.
struct Door {
    mta: Arc<Mta>,
    listen: Arc<Listen>,
    admission: Admission,
    /// Places for proxies that haven't said yet whom they pass on: as many as there are for
    /// sessions.
    headers: Semaphore,
}

impl Door {
    fn new(mta: Arc<Mta>, listen: Listen) -> Self {
        let admission = Admission::new(&listen.limits);
        let headers = Semaphore::new(listen.limits.connections);
        Self { mta, listen: Arc::new(listen), admission, headers }
    }

    /// Whether it is a proxy of the operator's.
    fn is_proxy(&self, peer: SocketAddr) -> bool {
        let config = &self.mta.in_force.load().config;
        config::contains(&config.current(&self.listen).proxies, peer.ip())
    }

    /// Lets a client in, or tells it why not.
    fn admit(&self, stream: &TcpStream, client: SocketAddr) -> Option<Admitted> {
        let config = &self.mta.in_force.load().config;
        // Who speaks for others is counted as none; whom it speaks for is.
        let speaks = config::contains(&config.current(&self.listen).xclient, client.ip());
        let exempt = speaks || config.networks.contains(client.ip());
        let admitted = self.admission.admit(client.ip(), exempt);
        admitted.map_err(|why| turn_away(stream, client, &self.mta, &self.listen, why)).ok()
    }

    /// Serves whoever is behind a proxy.
    async fn behind_proxy(self: Arc<Self>, mut stream: TcpStream, proxy: SocketAddr) {
        let Ok(place) = self.headers.try_acquire() else { return };
        let mut stopping = self.mta.stopping.clone();
        let found = tokio::select! {
            found = Box::pin(proxied(&mut stream, proxy)) => found,
            () = told_to_stop(&mut stopping) => return,
        };
        drop(place);
        match found {
            Ok(found) => {
                if let Some(admitted) = self.admit(&stream, found.client) {
                    let (mta, listen) = (self.mta.clone(), self.listen.clone());
                    session::serve(mta, listen, stream, found, Some(proxy), admitted).await;
                }
            }
            Err(error) => {
                if self.mta.repeats.is_told(proxy.ip()) {
                    tracing::warn!(proxy = %proxy.ip().to_canonical(), %error, "not served");
                }
            }
        }
    }
}

fn turn_away(stream: &TcpStream, client: SocketAddr, mta: &Mta, listen: &Listen, why: TurnedAway) {
    if mta.repeats.is_told(client.ip()) {
        tracing::warn!(client = %client.ip().to_canonical(), %why, "turned away");
    }
    let config = &mta.in_force.load().config;
    if config.current(listen).tls == TlsMode::Implicit {
        // A client that speaks TLS takes a line in the clear for garbage.
        return;
    }
    let reply = why.reply(client.ip(), &config.hostname);
    // A fresh socket's buffer has room for one line; if not, the client learns as much from the end
    // of the connection.
    let _ = stream.try_write(format!("{reply}\r\n").as_bytes());
}
