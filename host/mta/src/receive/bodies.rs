//! Bodies between the spool and policy: what was received as policy reads it, what plugins put in
//! its place, and the message that comes of it.
//!
//! Whatever the size, only a chunk of it is in memory at a time.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use facteur_policy::{Bodies, BodyError, Content, Edited, Unavailable};
use facteur_smtp::{Reply, status};
use facteur_spool::{Body, BodyWriter, NewBody, Spool};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// How much of an edited message is read and written at once.
const CHUNK: usize = 256 * 1024;
/// Headers that plugins put before everything stand beside the body rather than in a new one, up to
/// this: then nothing large is copied.
const PREFIX_LIMIT: usize = 64 * 1024;

/// A body as policy reads it.
pub fn content(body: &Body) -> Arc<dyn Content> {
    Arc::new(BodyContent(body.clone()))
}

struct BodyContent(Body);

impl Content for BodyContent {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        match &self.0 {
            Body::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(length).min(bytes.len());
                Ok(bytes[start..end].to_vec())
            }
            Body::File { path, size } => {
                let left = size.saturating_sub(offset);
                let mut buffer = vec![0; length.min(usize::try_from(left).unwrap_or(usize::MAX))];
                // A short read from the page cache: the file was written a moment ago.
                let read = std::fs::File::open(path)
                    .and_then(|file| file.read_exact_at(&mut buffer, offset));
                read.map_err(|error| Unavailable(format!("{}: {error}", path.display())))?;
                Ok(buffer)
            }
        }
    }
}

/// Keeps the bodies that plugins make in the spool, as bodies that are coming in.
pub struct SpoolBodies {
    spool: Spool,
    limit: u64,
}

impl SpoolBodies {
    /// `limit` is the largest body, in bytes.
    pub fn new(spool: Spool, limit: u64) -> Self {
        Self { spool, limit }
    }
}

impl Bodies for SpoolBodies {
    fn begin(&self) -> Box<dyn facteur_policy::NewBody> {
        Box::new(Coming { writer: self.spool.body(), limit: self.limit })
    }
}

struct Coming {
    writer: BodyWriter,
    limit: u64,
}

impl facteur_policy::NewBody for Coming {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), BodyError>> {
        async move {
            if self.writer.size() + bytes.len() as u64 > self.limit {
                return Err(BodyError::TooLarge);
            }
            let written = self.writer.write(Bytes::copy_from_slice(bytes)).await;
            written.map_err(|error| Unavailable(error.to_string()).into())
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Content>, BodyError>> {
        async move {
            let body =
                self.writer.finish().await.map_err(|error| Unavailable(error.to_string()))?;
            let content: Arc<dyn Content> =
                Arc::new(SharedBody { content: BodyContent(body.body().clone()), _body: body });
            Ok(content)
        }
        .boxed()
    }
}

/// A body that is there as long as somebody reads it.
struct SharedBody {
    content: BodyContent,
    _body: NewBody,
}

impl Content for SharedBody {
    fn size(&self) -> u64 {
        self.content.size()
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unavailable> {
        self.content.read(offset, length)
    }
}

/// What is stored of an edited message: the headers before the body that was received, or a new
/// body.
///
/// # Errors
/// The reply for the client.
pub async fn store(
    spool: &Spool,
    edited: &Edited,
    received: NewBody,
) -> Result<(Vec<u8>, NewBody), Reply> {
    if let Some(prefix) = edited.prefix(PREFIX_LIMIT) {
        return Ok((prefix, received));
    }
    let content = edited.content();
    let mut writer = spool.body();
    let mut offset = 0;
    while offset < content.size() {
        let chunk = content.read(offset, CHUNK).map_err(|error| unreadable(&error))?;
        if chunk.is_empty() {
            return Err(unreadable(&Unavailable("the message is shorter than it was".to_owned())));
        }
        offset += chunk.len() as u64;
        writer.write(chunk).await.map_err(|error| error.reply())?;
    }
    let body = writer.finish().await.map_err(|error| error.reply())?;
    Ok((Vec::new(), body))
}

/// A message that was written a moment ago can't be read back.
pub fn unreadable(error: &Unavailable) -> Reply {
    tracing::error!(%error, "the message can't be read back");
    Reply::new(451, status::SYSTEM, "Error: queue file read error")
}
