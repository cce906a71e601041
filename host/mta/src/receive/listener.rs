//! Listens on one address, and starts a session for each client.
//!
//! Whom it lets in is said by [`super::admission`]: others hear 421 and go. It knows nothing of SMTP
//! but that.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::accepting::Accepting;
use crate::config::{Listen, TlsMode};
use crate::receive::admission::{Admission, TurnedAway};
use crate::receive::mta::{Mta, told_to_stop};
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
        let admission = Admission::new(&self.listen.limits);
        let listen = Arc::new(self.listen);
        let mut accepting = Accepting::new(&*listen.name);
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = told_to_stop(&mut stopping) => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
            };
            match accepted {
                Ok((stream, client)) => {
                    let exempt = mta.in_force.load().config.networks.contains(client.ip());
                    match admission.admit(client.ip(), exempt) {
                        Ok(admitted) => {
                            let (mta, listen) = (mta.clone(), listen.clone());
                            sessions.spawn(session::serve(mta, listen, stream, client, admitted));
                        }
                        Err(why) => turn_away(&stream, client, &mta, &listen, why),
                    }
                }
                Err(error) => accepting.failed(&error).await,
            }
        }
        drop(self.socket);
        while sessions.join_next().await.is_some() {}
    }
}

fn turn_away(stream: &TcpStream, client: SocketAddr, mta: &Mta, listen: &Listen, why: TurnedAway) {
    if mta.repeats.is_told(client.ip()) {
        tracing::warn!(client = %client.ip().to_canonical(), %why, "turned away");
    }
    let config = &mta.in_force.load().config;
    if config.listener(&listen.name).is_some_and(|listen| listen.tls == TlsMode::Implicit) {
        // A client that speaks TLS takes a line in the clear for garbage.
        return;
    }
    let reply = why.reply(client.ip(), &config.hostname);
    // A fresh socket's buffer has room for one line; if not, the client learns as much from the end
    // of the connection.
    let _ = stream.try_write(format!("{reply}\r\n").as_bytes());
}
