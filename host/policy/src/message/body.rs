//! A new body on its way from a plugin to wherever the program keeps it.
//!
//! It never is in memory as a whole, unless the program says so: chunks go through [`Bodies`] as
//! they come. What comes is hostile input: whatever line ends a plugin writes, what is kept has
//! CRLF only, so that nothing can be smuggled past the next server's end of data.

use std::sync::Arc;

use facteur_smtp::LineEnds;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::content::Content;
use crate::unavailable::Unavailable;

/// The largest body that [`InMemory`] keeps, in bytes.
const MEMORY_LIMIT: usize = 1 << 20;

/// Why a body isn't kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than a message may have.
    #[error("the body is too large")]
    TooLarge,
    /// It can't be written now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Who keeps new bodies.
pub trait Bodies: Send + Sync + 'static {
    /// Begins one. Dropped before its end, it leaves nothing.
    fn begin(&self) -> Box<dyn NewBody>;
}

/// A body that is being written.
pub trait NewBody: Send + Sync {
    /// Appends to it; an error where it can't be written, or gets too large.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), BodyError>>;
    /// Ends it. What is returned can be read as long as it lives.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Content>, BodyError>>;
}

/// Keeps bodies in memory, small ones alone.
pub(crate) struct InMemory;

impl Bodies for InMemory {
    fn begin(&self) -> Box<dyn NewBody> {
        Box::new(Vec::new())
    }
}

impl NewBody for Vec<u8> {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), BodyError>> {
        let fits = self.len() + bytes.len() <= MEMORY_LIMIT;
        if fits {
            self.extend_from_slice(bytes);
        }
        ready(if fits { Ok(()) } else { Err(BodyError::TooLarge) }).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Content>, BodyError>> {
        let content: Arc<dyn Content> = Arc::new(*self);
        ready(Ok(content)).boxed()
    }
}

/// What a plugin has handed over of a new body.
pub(crate) struct Writing {
    lines: LineEnds,
    to: Box<dyn NewBody>,
}

impl Writing {
    pub(crate) fn new(bodies: &dyn Bodies) -> Self {
        Self { lines: LineEnds::default(), to: bodies.begin() }
    }

    /// The next chunk.
    pub(crate) async fn write(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        let mended = self.lines.mend(chunk);
        self.to.write(&mended).await
    }

    /// There are no more.
    pub(crate) async fn finish(mut self) -> Result<Arc<dyn Content>, BodyError> {
        let end = self.lines.finish();
        self.to.write(&end).await?;
        self.to.finish().await
    }
}
