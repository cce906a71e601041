//! Delivery into a Maildir, as its user.
//!
//! The file is written and synced under `tmp`, renamed into `new`, and `new` is synced, all before
//! the recipient counts as delivered, and so are the Maildir and the folders above it, once for
//! each process: a crash leaves a whole message or none. Lines end in LF there, as local mail's do
//! on Unix. Like Postfix's virtual(8) it begins with Return-Path:, X-Original-To: and
//! Delivered-To:, and mail that already was delivered to this address is a loop.
//!
//! What a user put in place of a folder, such as a FIFO, is never waited for: folders are opened as
//! folders, files are new. Where a file system hangs, the attempt ends in time and its work in no
//! time of ours; few of them take a place ([`super::writers`]).

mod drafts;
mod folder;

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use facteur_smtp::{Reply, status};
use facteur_spool::{Body, End, Recipient};

use super::attempt::Attempt;
use super::connection::reason;
use super::credentials::run_as;
use super::delivered_to;
use super::outcome::Outcome;
use super::settings::Settings;
use super::stop::Stop;
use super::writers::{self, Writers};
use crate::tables::Mailbox;
use folder::Place;

/// How long a mailbox may take: far more than a disk that is busy.
const LIMIT: Duration = Duration::from_secs(60);
/// Read from a body's file at once.
const CHUNK: usize = 64 * 1024;

/// Puts the message into the mailbox of one recipient. None: the program stops, and nothing was
/// begun.
pub async fn deliver(
    settings: &Settings,
    writers: &Writers,
    stop: &Stop,
    attempt: &Attempt<'_>,
    recipient: &Recipient,
) -> Option<Outcome> {
    let refused = |reply| Some(Outcome::refused(reply, None));
    let address = &recipient.address;
    let mailbox = match settings.mailboxes.find(address.local(), address.domain()).await {
        Ok(Some(mailbox)) => mailbox,
        Ok(None) => return refused(Reply::user_unknown(address, None)),
        Err(error) => {
            let text = format!("mailbox lookup for <{address}>: {error}");
            return refused(Reply::new(451, status::SYSTEM, text));
        }
    };
    let message = attempt.message;
    if let Some(reply) = delivered_to::looping(message, [address]).await {
        return refused(reply);
    }
    let hangs = |path: &Path| Failure::Hangs { path: path.to_owned() }.reply();
    let place = tokio::time::timeout(LIMIT, writers.place(&mailbox.path));
    let Ok(place) = stop.or(place).await? else { return refused(hangs(&mailbox.path)) };
    let mut head = String::new();
    // Writing to a String can't fail.
    let _ = match attempt.sender {
        Some(sender) => writeln!(head, "Return-Path: <{}>", sender.wire()),
        None => writeln!(head, "Return-Path: <>"),
    };
    let (original, delivered) = (recipient.original.wire(), address.wire());
    let _ = write!(head, "X-Original-To: {original}\nDelivered-To: {delivered}\n");
    let letter = Arc::new(Letter {
        head,
        header: message.header.clone(),
        body: message.body.clone(),
        name: unique_name(&settings.hostname),
        given_up: AtomicBool::new(false),
        _place: place?,
    });
    let path = mailbox.path.clone();
    let Ok(put) = tokio::time::timeout(LIMIT, put(letter.clone(), mailbox)).await else {
        letter.given_up.store(true, Ordering::Relaxed);
        return refused(hangs(&path));
    };
    Some(match put {
        Ok(()) => Outcome::Delivered {
            reply: Reply::new(250, status::UNDEFINED, "delivered to maildir"),
            remote: None,
            owed: Some(End::Delivered),
        },
        Err(failure) => Outcome::refused(failure.reply(), None),
    })
}

async fn put(letter: Arc<Letter>, mailbox: Mailbox) -> Result<(), Failure> {
    let Mailbox { base, path, owner } = mailbox;
    let place = Place { base, path };
    // The store's files are ours alone: opened before, read by the user's thread.
    let source = open(letter.body.clone()).await.map_err(Failure::Content)?;
    let work =
        |letter: Arc<Letter>, source: Source, place: Place| move || letter.write(source, &place);
    let again = source.try_clone().map_err(Failure::Content)?;
    let failed = {
        let path = place.path.clone();
        |error| Failure::Folder { path, error }
    };
    let written = match run_as(owner.as_ref(), work(letter.clone(), source, place.clone())).await? {
        Err(Failure::Folder { error, .. } | Failure::File { error, .. })
            if error.kind() == io::ErrorKind::PermissionDenied
                && rustix::process::geteuid().is_root() =>
        {
            // A spool such as /var/mail is root's: the folder is made for the user, and is the
            // user's from then on. Or it is being made for another message, and isn't the user's
            // yet.
            let (maildir, to) = (place.clone(), owner.clone());
            aside(&letter, move || to.map_or(Ok(()), |to| maildir.make_for(&to)))
                .await
                .map_err(failed.clone())?;
            run_as(owner.as_ref(), work(letter.clone(), again, place.clone())).await?
        }
        done => done,
    };
    written?;
    if place.is_settled() {
        return Ok(());
    }
    aside(&letter, move || place.settle()).await.map_err(failed)
}

/// File work with the program's own rights, on a thread that may wait. It has the letter's place.
async fn aside(
    letter: &Arc<Letter>,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let letter = letter.clone();
    let work = move || {
        let done = work();
        drop(letter);
        done
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Why it isn't in the mailbox.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the message can't be read from the queue: {0}")]
    Content(io::Error),
    #[error("create maildir {}: {}", path.display(), reason(error))]
    Folder { path: PathBuf, error: io::Error },
    #[error("create maildir file {}: {}", path.display(), reason(error))]
    File { path: PathBuf, error: io::Error },
    #[error("maildir {}: not done in {} s", path.display(), LIMIT.as_secs())]
    Hangs { path: PathBuf },
    #[error("maildir {}: given up", path.display())]
    GivenUp { path: PathBuf },
    #[error(transparent)]
    Credentials(#[from] super::credentials::CredentialsError),
}

impl Failure {
    fn reply(&self) -> Reply {
        match self {
            Self::Content(_) => Reply::new(451, status::SYSTEM, self.to_string()),
            Self::Hangs { .. } | Self::GivenUp { .. } => {
                Reply::new(450, status::MAILBOX, self.to_string())
            }
            Self::Credentials(_) => Reply::new(451, status::MISCONFIGURED, self.to_string()),
            Self::Folder { error, .. } | Self::File { error, .. } => match error.kind() {
                io::ErrorKind::QuotaExceeded => {
                    Reply::new(452, status::MAILBOX_FULL, self.to_string())
                }
                io::ErrorKind::StorageFull => {
                    Reply::new(452, status::SYSTEM_FULL, self.to_string())
                }
                _ => Reply::new(450, status::MAILBOX, self.to_string()),
            },
        }
    }
}

/// A message on its way into one mailbox.
struct Letter {
    /// What is put before the message, LF lines.
    head: String,
    header: Bytes,
    body: Body,
    name: String,
    /// Nobody waits for it any more: it is tried again.
    given_up: AtomicBool,
    /// Taken as long as any thread works at it.
    _place: writers::Place,
}

impl Letter {
    /// Writes it. Runs as the user.
    fn write(&self, source: Source, place: &Place) -> Result<(), Failure> {
        let maildir = &place.path;
        let (draft, delivered) =
            (maildir.join("tmp").join(&self.name), maildir.join("new").join(&self.name));
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| Failure::File { path, error }
        };
        let mut file = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                place
                    .make()
                    .map_err(|error| Failure::Folder { path: maildir.to_owned(), error })?;
                create()
            }
            opened => opened,
        }
        .map_err(failed(&draft))?;
        let written = self.fill(&mut file, source).and_then(|()| {
            file.sync_all().map_err(failed(&draft))?;
            if self.given_up.load(Ordering::Relaxed) {
                return Err(Failure::GivenUp { path: maildir.clone() });
            }
            std::fs::rename(&draft, &delivered).map_err(failed(&delivered))
        });
        if let Err(failure) = written {
            // Nobody reads it there; what stays is removed with other drafts.
            let _ = std::fs::remove_file(&draft);
            return Err(failure);
        }
        let new = maildir.join("new");
        folder::sync(&new).map_err(|error| Failure::File { path: new, error })?;
        if drafts::are_due(maildir) {
            drafts::remove_old(maildir, SystemTime::now());
        }
        if place.is_settled() {
            return Ok(());
        }
        place.sync_as_user().map_err(|error| Failure::Folder { path: maildir.clone(), error })
    }

    fn fill(&self, file: &mut File, mut source: Source) -> Result<(), Failure> {
        let failed = |error| Failure::File { path: self.name.clone().into(), error };
        let mut lines = self.head.clone().into_bytes();
        append_unix(&self.header, &mut lines);
        while let Some(chunk) = source.next().map_err(Failure::Content)? {
            append_unix(&chunk, &mut lines);
            file.write_all(&lines).map_err(failed)?;
            lines.clear();
        }
        file.write_all(&lines).map_err(failed)
    }
}

/// Where the content comes from, opened.
enum Source {
    Memory(Option<Bytes>),
    File { file: File, left: u64, size: u64 },
}

async fn open(body: Body) -> io::Result<Source> {
    match body {
        Body::Memory(bytes) => Ok(Source::Memory(Some(bytes))),
        Body::File { path, size } => {
            let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
            Ok(Source::File { file: opened.map_err(io::Error::other)??, left: size, size })
        }
    }
}

impl Source {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Memory(bytes) => Self::Memory(bytes.clone()),
            Self::File { file, size, .. } => {
                Self::File { file: file.try_clone()?, left: *size, size: *size }
            }
        })
    }

    /// The next part. A file shorter than the store says is an error, never a short message.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Memory(bytes) => Ok(bytes.take()),
            Self::File { left: 0, .. } => Ok(None),
            Self::File { file, left, .. } => {
                let length = CHUNK.min(usize::try_from(*left).unwrap_or(CHUNK));
                let mut chunk = vec![0; length];
                file.read_exact(&mut chunk)?;
                *left -= length as u64;
                Ok(Some(chunk.into()))
            }
        }
    }
}

/// Appends content with LF line ends. The store holds CR only as a part of CRLF.
fn append_unix(content: &[u8], lines: &mut Vec<u8>) {
    for piece in content.split(|&byte| byte == b'\r') {
        lines.extend_from_slice(piece);
    }
}

/// `time.MusecPpidQcount.hostname`, as maildir(5) has it: unique among all that is ever delivered
/// by any process.
fn unique_name(hostname: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let host = hostname.replace('/', "\\057").replace(':', "\\072");
    format!("{}.M{}P{}Q{count}.{host}", now.as_secs(), now.subsec_micros(), std::process::id())
}

#[cfg(test)]
#[path = "maildir_tests.rs"]
mod tests;
