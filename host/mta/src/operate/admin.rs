//! The operator's door to the running program: a unix socket that takes one request a connection,
//! and answers it. The socket is for the user who runs facteur alone (0600).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::answer::{answer, failed};
use super::protocol::{Answer, Request, Sink};
use super::reload::Reloader;
use crate::accepting::Accepting;
use crate::receive::mta::{Mta, told_to_stop};

/// A request is short, but for the message of a simulation.
const REQUEST_LIMIT: u64 = 64 << 20;
/// Requests at once; more wait. Each takes a descriptor, and some read a file.
const REQUESTS: usize = 16;

/// The listening socket.
pub struct Door(UnixListener);

impl Door {
    /// Makes the socket, in place of one that a crash left.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self(listener))
    }

    /// Answers until the program stops.
    pub async fn run(self, mta: Arc<Mta>, reloader: Reloader) {
        let mut stopping = mta.stopping.clone();
        let mut accepting = Accepting::new("admin");
        let places = Arc::new(Semaphore::new(REQUESTS));
        loop {
            let accept = async {
                // It is never closed, so that there always is one.
                let place = places.clone().acquire_owned().await;
                (place, self.0.accept().await)
            };
            let (place, accepted) = tokio::select! {
                accepted = accept => accepted,
                () = told_to_stop(&mut stopping) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (mta, reloader) = (mta.clone(), reloader.clone());
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, &mta, &reloader).await {
                            tracing::debug!(%error, "an operator's request ended early");
                        }
                        drop(place);
                    });
                }
                Err(error) => accepting.failed(&error).await,
            }
        }
    }
}

async fn serve(stream: UnixStream, mta: &Mta, reloader: &Reloader) -> io::Result<()> {
    let (read, write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_LIMIT));
    read.read_line(&mut line).await?;
    let mut sink = Lines(write);
    match serde_json::from_str(&line) {
        // It has no end of its own but that nobody reads any more.
        Ok(request @ Request::Record(_)) => tokio::select! {
            ended = answer(&mta.spool, Some((mta, reloader)), request, &mut sink) => ended?,
            _ = read.read_u8() => return Ok(()),
        },
        Ok(request) => answer(&mta.spool, Some((mta, reloader)), request, &mut sink).await?,
        Err(error) => sink.put(failed(&format!("not a request: {error}"))).await?,
    }
    sink.0.shutdown().await
}

struct Lines<W>(W);

impl<W: tokio::io::AsyncWrite + Unpin + Send> Sink for Lines<W> {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(&answer).map_err(io::Error::other)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }
}
