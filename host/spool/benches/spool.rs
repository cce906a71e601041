//! What it costs to have a message on the disk: alone, and with others that wait for the same
//! commit.
//!
//! On the disk that the repository is on: in a file system in memory a sync costs nothing, and says
//! nothing.

#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that fails may panic")]

use std::path::Path;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use facteur_spool::{
    MessageHead, MessageId, NewMessage, RecipientHead, Selection, Spool, SpoolConfig, Timestamp,
};
use tokio::runtime::Runtime;

/// Octets of the usual message of mail benchmarks.
const MESSAGE: usize = 4096;

fn main() {
    divan::main();
}

/// A spool that is removed at the end.
struct Disk {
    runtime: Runtime,
    spool: Spool,
    _folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let config = SpoolConfig::new(folder.path().join("spool"));
        let spool = Spool::open(&config).unwrap();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            spool,
            _folder: folder,
        }
    }

    /// Messages that wait at the same time.
    fn insert(&self, count: usize, body: &Bytes) {
        self.runtime.block_on(async {
            let inserts: Vec<_> = (0..count)
                .map(|_| {
                    let (spool, message) = (self.spool.clone(), message(&self.spool, body.clone()));
                    tokio::spawn(async move { spool.insert(message).await })
                })
                .collect();
            for insert in inserts {
                insert.await.unwrap().unwrap();
            }
        });
    }
}

fn message(spool: &Spool, body: Bytes) -> NewMessage {
    let recipient = RecipientHead::new("user@example.org".parse().unwrap(), "relay");
    NewMessage {
        head: MessageHead {
            sender: Some("sender@example.org".parse().unwrap()),
            header: Bytes::from_static(b"Received: from bench\r\n"),
            ..MessageHead::new(MessageId::random().unwrap(), spool.queue_id(), Timestamp::now())
        },
        body: body.into(),
        hold: None,
        recipients: vec![recipient],
    }
}

/// From asking to being on the disk, for all of them.
#[divan::bench(args = [1, 20, 200], sample_size = 1, sample_count = 200)]
fn insert(bencher: Bencher, count: usize) {
    let disk = Disk::new();
    let body = Bytes::from(vec![b'x'; MESSAGE]);
    disk.insert(count, &body);
    bencher.counter(ItemsCount::new(count)).bench_local(|| disk.insert(count, &body));
    disk.runtime.block_on(disk.spool.delete(Selection::All)).unwrap();
}
