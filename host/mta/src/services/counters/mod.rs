//! The stores of counters: in memory, and those that shall outlive a restart on the disk as well.
//!
//! A thread writes what changed once a second; the mail never waits for it, and a disk that fails
//! costs nothing but the counters of after the next restart. The stores belong to the program: a
//! reload changes who may use them and how much they hold, not what is in them.

mod disk;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use facteur_policy::{Bucket, Count, Lifetime, Taken, UnknownStore};
use parking_lot::Mutex;

use crate::config;
use disk::Disk;
use store::{Bounds, Store};

/// Between two writes: what a crash may cost.
const INTERVAL: Duration = Duration::from_secs(1);
/// Entries of one transaction: the lock of a store is held for so many at once.
const BATCH: usize = 1_000;
/// Writes between two removals of what is over.
const EXPIRY: u32 = 60;
/// Writes between two complaints about the same thing.
const COMPLAINTS: u32 = 60;

/// The stores of the program.
pub struct Counters {
    /// Where the durable ones are. None: nowhere, and nothing is written.
    file: Option<PathBuf>,
    stores: Arc<Mutex<HashMap<String, Arc<Store>>>>,
    writer: Mutex<Option<Writer>>,
}

struct Writer {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Counters {
    /// No stores yet. Nothing is opened before there is something to keep.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, stores: Arc::default(), writer: Mutex::default() }
    }

    /// The stores that a configuration names.
    pub fn view(&self, wanted: &BTreeMap<String, config::CounterStore>) -> CountersView {
        let store = |(name, settings): (&String, &config::CounterStore)| {
            let bounds =
                Bounds { keys: settings.keys, durable: settings.durable && self.file.is_some() };
            (name.clone(), (self.store(name, bounds), bounds))
        };
        CountersView(wanted.iter().map(store).collect())
    }

    fn store(&self, name: &str, bounds: Bounds) -> Arc<Store> {
        if let Some(file) = &self.file {
            self.start_writer(file);
        }
        let mut stores = self.stores.lock();
        if let Some(store) = stores.get(name) {
            return store.clone();
        }
        let mut entries = Vec::new();
        if let (Some(file), true) = (&self.file, bounds.durable) {
            match Disk::open(file).and_then(|disk| disk.load(name, now(), bounds.keys)) {
                Ok(found) => entries = found,
                Err(error) => {
                    tracing::error!(store = name, file = %file.display(), %error, "the counters \
                     can't be read: they begin anew");
                }
            }
        }
        let store = Arc::new(Store::of(entries));
        stores.insert(name.to_owned(), store.clone());
        store
    }

    fn start_writer(&self, file: &Path) {
        let mut writer = self.writer.lock();
        if writer.is_some() {
            return;
        }
        let (stop, stopped) = channel();
        let (stores, file) = (self.stores.clone(), file.to_owned());
        match std::thread::Builder::new()
            .name("counters".into())
            .spawn(move || write(&file, &stores, &stopped))
        {
            Ok(thread) => *writer = Some(Writer { stop, thread }),
            Err(error) => {
                tracing::error!(%error, "there is no thread that writes counters: they will begin \
                 anew");
            }
        }
    }

    /// Writes what isn't written yet, and no more from now on. Blocks until it is done.
    pub fn close(&self) {
        let writer = self.writer.lock().take();
        if let Some(Writer { stop, thread }) = writer {
            drop(stop);
            // A panic in there has been told already.
            let _ = thread.join();
        }
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread that writes, until its sender is gone, and then once more.
fn write(file: &Path, stores: &Mutex<HashMap<String, Arc<Store>>>, stopped: &Receiver<()>) {
    let mut disk = None;
    let mut failing = false;
    for round in 0_u32.. {
        let last = stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
        let all: Vec<_> =
            stores.lock().iter().map(|(name, store)| (name.clone(), store.clone())).collect();
        let failed = std::mem::take(&mut failing);
        for (name, store) in &all {
            if let Err(error) = write_store(&mut disk, file, name, store) {
                (disk, failing) = (None, true);
                if !failed || round % COMPLAINTS == 0 {
                    tracing::error!(store = name, file = %file.display(), %error, "counters can't \
                     be written");
                }
            }
            if round % COMPLAINTS == 0 && store.pushed_out() > 0 {
                tracing::warn!(
                    store = name,
                    "counters went before their time: raise counters.{name}.keys"
                );
            }
        }
        if let Some(disk) = disk.as_ref().filter(|_| round % EXPIRY == 0)
            && let Err(error) = Disk::expire(disk, now())
        {
            tracing::error!(file = %file.display(), %error, "counters that are over can't be \
             removed");
        }
        if last {
            break;
        }
    }
}

fn write_store(
    disk: &mut Option<Disk>,
    file: &Path,
    name: &str,
    store: &Store,
) -> rusqlite::Result<()> {
    let changed: Vec<Arc<str>> = store.changed().into_iter().collect();
    for (number, keys) in changed.chunks(BATCH).enumerate() {
        let written = match disk {
            Some(disk) => disk.write(name, keys, &store.look(keys)),
            None => Disk::open(file)
                .and_then(|opened| disk.insert(opened).write(name, keys, &store.look(keys))),
        };
        if let Err(error) = written {
            store.not_written(changed[number * BATCH..].iter().cloned());
            return Err(error);
        }
    }
    Ok(())
}

/// The stores of one configuration, with its bounds.
#[derive(Default)]
pub struct CountersView(HashMap<String, (Arc<Store>, Bounds)>);

impl CountersView {
    fn store(&self, name: &str) -> Result<&(Arc<Store>, Bounds), UnknownStore> {
        self.0.get(name).ok_or_else(|| UnknownStore(name.to_owned()))
    }
}

impl facteur_policy::Counters for CountersView {
    fn is_store(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn get(&self, store: &str, key: &str) -> Result<Option<Count>, UnknownStore> {
        let (store, _) = self.store(store)?;
        Ok(store.get(key, now()))
    }

    fn add(
        &self,
        store: &str,
        key: &str,
        amount: u64,
        lifetime: Lifetime,
    ) -> Result<Count, UnknownStore> {
        let (store, bounds) = self.store(store)?;
        Ok(store.add(key, amount, lifetime, now(), *bounds))
    }

    fn take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let (store, bounds) = self.store(store)?;
        Ok(store.take(key, amount, bucket, now(), *bounds))
    }

    fn would_take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let (store, _) = self.store(store)?;
        Ok(store.would_take(key, amount, bucket, now()))
    }

    fn remove(&self, store: &str, key: &str) -> Result<bool, UnknownStore> {
        let (store, bounds) = self.store(store)?;
        Ok(store.remove(key, now(), *bounds))
    }
}

/// In microseconds since 1970: the counters of before a restart must mean the same after it.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
