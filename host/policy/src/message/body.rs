//! A new body on its way from a plugin to wherever the program keeps it.
//!
//! It never is in memory as a whole, unless the program says so: chunks go through [`Bodies`] as
//! they come. What comes is hostile input: whatever line ends a plugin writes, what is kept has
//! CRLF only, so that nothing can be smuggled past the next server's end of data.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use crate::message::Content;
use crate::services::Unavailable;

/// The largest body that [`InMemory`] keeps, in bytes.
const MEMORY_LIMIT: usize = 1 << 20;

/// Who keeps new bodies.
pub trait Bodies: Send + Sync + 'static {
    /// Begins one. Dropped before its end, it leaves nothing.
    fn begin(&self) -> Box<dyn NewBody>;
}

/// A body that is being written.
pub trait NewBody: Send + Sync {
    /// Appends to it; an error where it can't be written, or gets too large.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), Unavailable>>;
    /// Ends it. What is returned can be read as long as it lives.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Content>, Unavailable>>;
}

/// Keeps bodies in memory, small ones alone.
pub(crate) struct InMemory;

impl Bodies for InMemory {
    fn begin(&self) -> Box<dyn NewBody> {
        Box::new(Vec::new())
    }
}

impl NewBody for Vec<u8> {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), Unavailable>> {
        let fits = self.len() + bytes.len() <= MEMORY_LIMIT;
        if fits {
            self.extend_from_slice(bytes);
        }
        ready(if fits {
            Ok(())
        } else {
            Err(Unavailable("a body that is too large to be kept in memory".into()))
        })
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Content>, Unavailable>> {
        let content: Arc<dyn Content> = Arc::new(*self);
        ready(Ok(content)).boxed()
    }
}

/// What a plugin has handed over of a new body.
pub(crate) struct Writing {
    lines: Lines,
    to: Box<dyn NewBody>,
}

impl Writing {
    pub(crate) fn new(bodies: &dyn Bodies) -> Self {
        Self { lines: Lines::default(), to: bodies.begin() }
    }

    /// The next chunk.
    pub(crate) async fn write(&mut self, chunk: &[u8]) -> Result<(), Unavailable> {
        let mended = self.lines.next(chunk);
        self.to.write(&mended).await
    }

    /// There are no more.
    pub(crate) async fn finish(mut self) -> Result<Arc<dyn Content>, Unavailable> {
        let end = self.lines.end();
        self.to.write(end).await?;
        self.to.finish().await
    }
}

/// Mends line ends, chunk by chunk, as those of a client are: a bare LF ends a line, a bare CR
/// becomes a space.
#[derive(Default)]
struct Lines {
    /// A CR came, and it isn't known yet what follows it.
    after_cr: bool,
    within_line: bool,
}

impl Lines {
    fn next(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut mended = Vec::with_capacity(chunk.len() + chunk.len() / 32 + 2);
        for &byte in chunk {
            if std::mem::take(&mut self.after_cr) && byte != b'\n' {
                mended.push(b' ');
                self.within_line = true;
            }
            match byte {
                b'\r' => self.after_cr = true,
                b'\n' => {
                    mended.extend_from_slice(b"\r\n");
                    self.within_line = false;
                }
                byte => {
                    mended.push(byte);
                    self.within_line = true;
                }
            }
        }
        mended
    }

    fn end(&mut self) -> &'static [u8] {
        match (std::mem::take(&mut self.after_cr), self.within_line) {
            (true, _) => b" \r\n",
            (false, true) => b"\r\n",
            (false, false) => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mended(chunks: &[&[u8]]) -> Vec<u8> {
        let mut lines = Lines::default();
        let mut all: Vec<u8> = chunks.iter().flat_map(|chunk| lines.next(chunk)).collect();
        all.extend_from_slice(lines.end());
        all
    }

    #[test]
    fn every_line_ends_in_crlf() {
        assert_eq!(mended(&[b"a\r\nb\nc\rd"]), b"a\r\nb\r\nc d\r\n");
        assert_eq!(mended(&[b"a\r", b"\nb"]), b"a\r\nb\r\n");
        assert_eq!(mended(&[b"a\r", b"\r", b"\n\r"]), b"a \r\n \r\n");
        assert_eq!(mended(&[]), b"");
    }

    proptest! {
        #[test]
        fn no_bare_cr_or_lf_is_left_wherever_chunks_part(
            text in "[a\r\n.]{0,40}",
            at in 0_usize..40,
        ) {
            let (before, after) = text.as_bytes().split_at(at.min(text.len()));
            let parted = mended(&[before, after]);
            prop_assert_eq!(&parted, &mended(&[text.as_bytes()]));
            let rest = String::from_utf8(parted).unwrap().replace("\r\n", "");
            prop_assert!(!rest.contains(['\r', '\n']), "{rest:?}");
        }
    }
}
