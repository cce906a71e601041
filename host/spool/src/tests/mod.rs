//! Tests of the spool, with a store that they can stand in front of, and messages to put into it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod commit;
mod disk;
mod disk_space;
mod failure;
mod model;
mod store;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use facteur_smtp::{Notify, Reply, Ret};
use parking_lot::Mutex;

use crate::folder::Folder;
use crate::sqlite::Sqlite;
use crate::store::{Applied, Store, Write};
use crate::*;

type Hook<T> = Box<dyn Fn(T) -> Result<(), SpoolError> + Send + Sync>;

/// The real store, with something in front of its writes.
struct Fake {
    real: Arc<Sqlite>,
    before_apply: Hook<usize>,
    before_checkpoint: Hook<()>,
    applies: AtomicU32,
    checkpoints: AtomicU32,
}

impl Store for Fake {
    fn apply(&self, batch: &[Write]) -> Result<Applied, SpoolError> {
        self.applies.fetch_add(1, Ordering::SeqCst);
        (self.before_apply)(batch.len())?;
        self.real.apply(batch)
    }
    fn checkpoint(&self) -> Result<(), SpoolError> {
        self.checkpoints.fetch_add(1, Ordering::SeqCst);
        (self.before_checkpoint)(())?;
        self.real.checkpoint()
    }
    fn reclaim(&self) -> Result<bool, SpoolError> {
        self.real.reclaim()
    }
    fn load(
        &self,
        queue_id: QueueId,
        recipients: Option<&[RecipientId]>,
    ) -> Result<Option<Message>, SpoolError> {
        self.real.load(queue_id, recipients)
    }
    fn destinations(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Destination>, SpoolError> {
        self.real.destinations(after, limit)
    }
    fn untold(&self) -> Result<Vec<QueueId>, SpoolError> {
        self.real.untold()
    }
    fn due(
        &self,
        domain: &str,
        now: Timestamp,
        after: Option<(Timestamp, RecipientId)>,
        limit: usize,
    ) -> Result<Due, SpoolError> {
        self.real.due(domain, now, after, limit)
    }
    fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Summary>, SpoolError> {
        self.real.list(after, limit)
    }
    fn files(&self, after: &str, limit: usize) -> Result<Vec<String>, SpoolError> {
        self.real.files(after, limit)
    }
}

fn config(path: &Path) -> SpoolConfig {
    SpoolConfig { path: path.to_owned(), message_limit: 0, reserve: 4 << 20, log: 1 << 20 }
}

fn open_real(config: &SpoolConfig) -> (Spool, Arc<Sqlite>) {
    let folder = Folder::claim(&config.path).unwrap();
    let real =
        Arc::new(Sqlite::open(&folder.database(), folder.bodies(), !folder.was_clean()).unwrap());
    let (before_apply, before_checkpoint): (Hook<usize>, Hook<()>) =
        (Box::new(|_| Ok(())), Box::new(|()| Ok(())));
    let fake = fake(real.clone(), before_apply, before_checkpoint);
    (Spool::with_store(config, folder, fake).unwrap(), real)
}

fn open_fake(
    config: &SpoolConfig,
    before_apply: Hook<usize>,
    before_checkpoint: Hook<()>,
) -> (Spool, Arc<Fake>) {
    let folder = Folder::claim(&config.path).unwrap();
    let real =
        Arc::new(Sqlite::open(&folder.database(), folder.bodies(), !folder.was_clean()).unwrap());
    let fake = fake(real, before_apply, before_checkpoint);
    (Spool::with_store(config, folder, fake.clone()).unwrap(), fake)
}

fn fake(real: Arc<Sqlite>, before_apply: Hook<usize>, before_checkpoint: Hook<()>) -> Arc<Fake> {
    let (applies, checkpoints) = (AtomicU32::new(0), AtomicU32::new(0));
    Arc::new(Fake { real, before_apply, before_checkpoint, applies, checkpoints })
}

fn recipient(address: &str) -> RecipientHead {
    RecipientHead::new(address.parse().unwrap(), "local")
}

fn message(recipients: &[&str]) -> NewMessage {
    NewMessage {
        head: MessageHead {
            sender: Some("sender@example.org".parse().unwrap()),
            header: Bytes::from_static(b"Received: here\r\n"),
            eight_bit: true,
            ..MessageHead::new(MessageId::random().unwrap(), QueueId::from_clock(), Timestamp(1))
        },
        body: Bytes::from_static(b"\r\nHello\r\n").into(),
        hold: None,
        recipients: recipients.iter().map(|address| recipient(address)).collect(),
    }
}

fn done(recipients: &[RecipientId]) -> Vec<RecipientUpdate> {
    recipients.iter().map(|id| RecipientUpdate { recipient: *id, what: Update::Done }).collect()
}

async fn large_body(spool: &Spool) -> NewBody {
    let mut body = spool.body();
    body.write(vec![b'x'; SMALL_BODY + 1]).await.unwrap();
    body.finish().await.unwrap()
}

/// A hook that stops the first who comes to it (the committer in its first commit) until the test
/// lets it go on.
fn stop_first<T>() -> (Hook<T>, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (entered, has_entered) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let first = Mutex::new(Some((entered, may_go)));
    let hook = move |_| {
        let first = first.lock().take();
        if let Some((entered, may_go)) = first {
            entered.send(()).unwrap();
            may_go.recv().unwrap();
        }
        Ok(())
    };
    (Box::new(hook), has_entered, go)
}
