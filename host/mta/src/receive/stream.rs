//! The octets of a session: on TCP, in the clear or under TLS.
//!
//! An idle one holds no buffer of ours: what comes in is read into one that each thread has.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use facteur_smtp::MAX_AUTH_RESPONSE;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroize as _;

/// The most that is read of content at a time. With an eighth of it, large content costs half as
/// much processor time again.
pub(super) const CONTENT: usize = 512 * 1024;
/// The most that is read of commands at a time, or of content where memory is short: what a session
/// holds while its client waits for an answer.
pub(super) const COMMANDS: usize = 16 * 1024;

thread_local! {
    /// One buffer for each thread, used within one poll only: ten thousand idle sessions need none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CONTENT]);
}

/// Overwrites what this thread has read last, where that has just been part of a login.
pub(super) fn forget() {
    BUFFER.with_borrow_mut(|buffer| {
        let length = buffer.len().min(2 * MAX_AUTH_RESPONSE);
        buffer[..length].zeroize();
    });
}

/// A connection.
pub(super) enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// It ended with a handshake that failed.
    Closed,
}

impl Stream {
    /// Waits until something comes, and hands on so much of it at most; false at the end. Nothing
    /// is lost if the wait is given up.
    pub(super) async fn read(
        &mut self,
        most: usize,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let most = most.min(buffer.len());
                let mut buffer = ReadBuf::new(&mut buffer[..most]);
                match self {
                    Self::Plain(stream) => Pin::new(stream).poll_read(context, &mut buffer),
                    Self::Tls(stream) => poll_read_tls(stream, context, &mut buffer),
                    Self::Closed => Poll::Ready(Ok(())),
                }
                .map_ok(|()| {
                    take(buffer.filled());
                    !buffer.filled().is_empty()
                })
            })
        })
        .await
    }
}

/// What TLS has to say for itself, such as no to a client that would begin anew, waits for no reply
/// of ours.
fn poll_read_tls(
    stream: &mut TlsStream<TcpStream>,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let read = Pin::new(&mut *stream).poll_read(context, buffer);
    if read.is_pending() && stream.get_ref().1.wants_write() {
        ready!(Pin::new(stream).poll_flush(context))?;
    }
    read
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    /// Under TLS the other side is told that this is the end, and no attacker's.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}
