//! Puts messages into a spool until it is killed: the program under test of `tests/power_loss.rs`.
//!
//! `spool_writer DIRECTORY`: prints `QUEUE-ID NUMBER SIZE` for each message once its insert has
//! returned. Removes every seventh again, and prints `- NUMBER` before it asks for that.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use facteur_smtp::Address;
use facteur_spool::{
    MessageHead, MessageId, NewMessage, RecipientHead, RecipientUpdate, Spool, SpoolConfig,
    Timestamp, Update,
};

#[path = "../tests/content/mod.rs"]
mod content;

/// Concurrent writers.
const WRITERS: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let directory = std::env::args().nth(1).ok_or("usage: spool_writer DIRECTORY")?;
    let mut config = SpoolConfig::new(directory);
    // The log is a quarter of it: checkpoints every few commits, so that the kill meets them too.
    config.reserve = 1 << 20;
    let spool = Spool::open(&config)?;
    let next = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> =
        (0..WRITERS).map(|_| tokio::spawn(write(spool.clone(), next.clone()))).collect();
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

async fn write(spool: Spool, next: Arc<AtomicU64>) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let content = content::content(number);
        let mut body = spool.body();
        body.write(content.clone()).await?;
        let address: Address = format!("user{number}@example.org").parse()?;
        let queued = spool
            .insert(NewMessage {
                head: MessageHead {
                    sender: Some("sender@example.org".parse()?),
                    header: Bytes::from_static(b"Received: from test\r\n"),
                    ..MessageHead::new(MessageId::random()?, spool.queue_id(), Timestamp::now())
                },
                body: body.finish().await?,
                hold: None,
                recipients: vec![RecipientHead::new(address, "local")],
            })
            .await?;
        writeln!(std::io::stdout(), "{} {number} {}", queued.queue_id, content.len())?;
        if number % 7 == 6 {
            writeln!(std::io::stdout(), "- {number}")?;
            let outcomes = queued
                .recipients
                .iter()
                .map(|id| RecipientUpdate { recipient: *id, what: Update::Done })
                .collect();
            spool.record(outcomes, Vec::new()).await?;
        }
    }
}
