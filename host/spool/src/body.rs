//! The content of messages: small ones in memory and in the database, large ones as files.
//!
//! The file of a large body gets its final, random name when it is made; it is synced, and the
//! directory with it, before the row that names it is committed. Until then its drop removes it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};

use crate::SpoolError;
use crate::disk_space::DiskSpace;
use crate::folder::sync_directory;

/// The largest body, in octets, that stands in the database itself; larger ones are files.
pub const SMALL_BODY: usize = 64 * 1024;
/// How much of a large body is gathered before it is written, since each write wakes another
/// thread; what comes in larger pieces isn't gathered.
const GATHERED: usize = 128 * 1024;
/// How much of a large body is read at once.
const CHUNK: usize = 256 * 1024;

/// The content of a message in the store. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Body {
    /// All of it.
    Memory(Bytes),
    /// A file; it may go when the message does.
    File {
        /// Where it is.
        path: Arc<Path>,
        /// Its octets.
        size: u64,
    },
}

impl Body {
    /// Its octets.
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    /// Opens it for reading. From then on it stays readable, whatever becomes of the message.
    pub async fn open(&self) -> io::Result<BodyReader> {
        let source = match self {
            Self::Memory(bytes) => Source::Memory(bytes.clone()),
            Self::File { path, .. } => {
                let path = path.clone();
                Source::File(Arc::new(blocking(move || File::open(path)).await?))
            }
        };
        Ok(BodyReader { source, size: self.size(), position: 0 })
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Memory(Bytes::new())
    }
}

/// Reads a body from its beginning in chunks, or anywhere by range.
#[derive(Debug)]
pub struct BodyReader {
    source: Source,
    size: u64,
    position: u64,
}

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File(Arc<File>),
}

impl BodyReader {
    /// The next chunk of at most 256 KiB; none at the end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let chunk = self.read_at(self.position, CHUNK).await?;
        self.position += chunk.len() as u64;
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// The octets from `offset` on, `length` of them or as many as there are. A file shorter than
    /// the store says is an error, never a short body.
    pub async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let length = self.size.saturating_sub(offset).min(length as u64) as usize;
        match &self.source {
            _ if length == 0 => Ok(Bytes::new()),
            // The range lies within the bytes: the size is theirs.
            Source::Memory(bytes) => Ok(bytes.slice(offset as usize..offset as usize + length)),
            Source::File(file) => {
                let file = file.clone();
                blocking(move || {
                    let mut chunk = vec![0; length];
                    file.read_exact_at(&mut chunk, offset)?;
                    Ok(chunk.into())
                })
                .await
            }
        }
    }
}

/// Takes a body while it comes in: memory up to [`SMALL_BODY`], then a file. Dropped unfinished, it
/// leaves nothing.
#[derive(Debug)]
pub struct BodyWriter {
    directory: Arc<Path>,
    /// Told of a full disk, so that the next message is refused before it is sent.
    space: Arc<DiskSpace>,
    buffer: BytesMut,
    file: Option<BodyFile>,
    size: u64,
}

impl BodyWriter {
    pub(crate) fn new(directory: Arc<Path>, space: Arc<DiskSpace>) -> Self {
        Self { directory, space, buffer: BytesMut::new(), file: None, size: 0 }
    }

    /// Octets written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Octets of memory that it takes until more is written, or it ends.
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// Appends to the body. After an error the body can only be dropped.
    pub async fn write(&mut self, bytes: impl Into<Bytes>) -> Result<(), SpoolError> {
        let bytes = bytes.into();
        self.size += bytes.len() as u64;
        if self.buffer.is_empty() && bytes.len() >= GATHERED {
            return self.append(bytes).await;
        }
        self.buffer.extend_from_slice(&bytes);
        let full = if self.file.is_some() { GATHERED } else { SMALL_BODY + 1 };
        if self.buffer.len() >= full { self.flush().await } else { Ok(()) }
    }

    /// Ends the body. That of a file is on the disk, with its name, when this returns.
    pub async fn finish(mut self) -> Result<NewBody, SpoolError> {
        if self.file.is_none() {
            return Ok(self.buffer.freeze().into());
        }
        self.flush().await?;
        // There is one: looked at above.
        let Some(file) = self.file else { return Err(SpoolError::Closed) };
        let size = self.size;
        blocking(move || {
            file.file
                .sync_all()
                .and_then(|()| sync_directory(&self.directory))
                .map_err(|error| file.failed(&error))?;
            let body = Body::File { path: file.pending.path.clone(), size };
            Ok(NewBody { body, pending: Some(file.pending) })
        })
        .await
        .inspect_err(|error| self.space.heard(error))
    }

    async fn flush(&mut self) -> Result<(), SpoolError> {
        // All of the buffer, so that nothing of it stays where the client sends no more.
        let gathered = std::mem::take(&mut self.buffer).freeze();
        self.append(gathered).await
    }

    async fn append(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        let file = self.file.take();
        let directory = self.directory.clone();
        let file = blocking(move || {
            let file = match file {
                Some(file) => file,
                None => BodyFile::create(&directory)?,
            };
            io::Write::write_all(&mut &file.file, &chunk).map_err(|error| file.failed(&error))?;
            Ok::<_, SpoolError>(file)
        })
        .await
        .inspect_err(|error| self.space.heard(error))?;
        self.file = Some(file);
        Ok(())
    }
}

/// A body that is ready to be inserted. Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct NewBody {
    body: Body,
    pending: Option<PendingFile>,
}

impl NewBody {
    /// Its octets.
    pub fn size(&self) -> u64 {
        self.body.size()
    }

    /// The body for reading, before it is stored as after.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The name of its file, if it is one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.pending.as_ref().map(|pending| pending.name.as_str())
    }

    /// A row may name the file: it must stay.
    pub(crate) fn keep(&self) {
        if let Some(pending) = &self.pending {
            pending.kept.store(true, Ordering::Relaxed);
        }
    }
}

impl From<Bytes> for NewBody {
    /// A body made here, like a bounce's. It stands in the database whatever its size, so large
    /// ones should be written by [`crate::Spool::body`].
    fn from(bytes: Bytes) -> Self {
        Self { body: Body::Memory(bytes), pending: None }
    }
}

/// A body's file that nothing names yet; removed on drop.
#[derive(Debug)]
struct PendingFile {
    path: Arc<Path>,
    name: String,
    kept: AtomicBool,
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "an unused body file is left for \
             the next start to sweep");
        }
    }
}

#[derive(Debug)]
struct BodyFile {
    file: File,
    pending: PendingFile,
}

impl BodyFile {
    fn create(directory: &Path) -> Result<Self, SpoolError> {
        let name = crate::MessageId::random()?.to_string();
        let path: PathBuf = directory.join(&name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| SpoolError::sync(&path, &error))?;
        Ok(Self {
            file,
            pending: PendingFile { path: path.into(), name, kept: AtomicBool::new(false) },
        })
    }

    fn failed(&self, error: &io::Error) -> SpoolError {
        SpoolError::sync(&self.pending.path, error)
    }
}

/// Runs file work where it holds up no session.
pub(crate) async fn blocking<T: Send + 'static, E: From<Stopped> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Stopped.into()),
    }
}

/// The runtime was shut down before the work began.
#[derive(Debug)]
pub(crate) struct Stopped;

impl From<Stopped> for io::Error {
    fn from(_: Stopped) -> Self {
        io::Error::other("the program is ending")
    }
}

impl From<Stopped> for SpoolError {
    fn from(_: Stopped) -> Self {
        Self::Closed
    }
}
