//! Asks the running program, by its socket.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::protocol::{Request, Sink};

/// Asks the running program; false if there is none.
///
/// # Errors
/// The connection's, the sink's, or an answer that isn't one.
pub async fn ask(path: &Path, request: &Request, sink: &mut impl Sink) -> io::Result<bool> {
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        sink.put(serde_json::from_str(&line).map_err(io::Error::other)?).await?;
    }
    Ok(true)
}
