//! The stores of counters: in memory, and those that shall outlive a restart on the disk as well.
//!
//! A thread writes what changed once a second; the mail never waits for it, and a disk that fails
//! costs nothing but the counters of after the next restart. The stores belong to the program: a
//! reload changes who may use them and how much they hold, not what is in them.

mod clock;
mod disk;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use facteur_policy::{Bucket, Count, Lifetime, Taken, UnknownStore};
use parking_lot::Mutex;

use crate::config;
use clock::Clock;
use disk::{Disk, DiskError};
use store::{Bounds, Store};

/// Between two writes: what a crash may cost.
const INTERVAL: Duration = Duration::from_secs(1);
/// Entries of one transaction: the lock of a store is held for so many at once.
const BATCH: usize = 1_000;
/// Writes between two complaints about the same thing.
const COMPLAINTS: u32 = 60;

/// The stores of the program.
pub struct Counters {
    clock: Clock,
    /// Where the durable ones are. None: nowhere, and nothing is written.
    disk: Option<Arc<Mutex<Disk>>>,
    stores: Arc<Mutex<Stores>>,
    writer: Mutex<Option<Writer>>,
}

type Stores = HashMap<String, NamedStore>;

/// One of them.
#[derive(Clone)]
struct NamedStore {
    store: Arc<Store>,
    /// As the configuration in force says.
    durable: bool,
}

struct Writer {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Counters {
    /// No stores yet. Nothing is opened before there is something to keep.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self::by(Clock::default(), file)
    }

    fn by(clock: Clock, file: Option<PathBuf>) -> Self {
        let disk = file.map(|file| Arc::new(Mutex::new(Disk::new(file, clock.clone()))));
        Self { clock, disk, stores: Arc::default(), writer: Mutex::default() }
    }

    /// The stores that a configuration names.
    pub fn view(&self, wanted: &BTreeMap<String, config::CounterStore>) -> CountersView {
        let store = |(name, settings): (&String, &config::CounterStore)| {
            let bounds =
                Bounds { keys: settings.keys, durable: settings.durable && self.disk.is_some() };
            (name.clone(), (self.store(name, bounds), bounds))
        };
        CountersView { clock: self.clock.clone(), stores: wanted.iter().map(store).collect() }
    }

    fn store(&self, name: &str, bounds: Bounds) -> Arc<Store> {
        if let Some(disk) = &self.disk {
            self.start_writer(disk);
        }
        let durable = bounds.durable;
        let mut stores = self.stores.lock();
        if let Some(kept) = stores.get_mut(name) {
            if durable && !kept.durable {
                kept.store.all_changed();
            }
            kept.durable = durable;
            return kept.store.clone();
        }
        let mut entries = Vec::new();
        if let Some(disk) = self.disk.as_ref().filter(|_| durable) {
            let mut disk = disk.lock();
            match disk.load(name, bounds.keys) {
                Ok(found) => entries = found,
                Err(error) => {
                    tracing::error!(store = name, file = %disk.path().display(), %error, "the \
                     counters can't be read: they begin anew");
                }
            }
        }
        let store = Arc::new(Store::of(entries));
        stores.insert(name.to_owned(), NamedStore { store: store.clone(), durable });
        store
    }

    fn start_writer(&self, disk: &Arc<Mutex<Disk>>) {
        let mut writer = self.writer.lock();
        if writer.is_some() {
            return;
        }
        let (stop, stopped) = channel();
        let (stores, disk) = (self.stores.clone(), disk.clone());
        match std::thread::Builder::new()
            .name("counters".into())
            .spawn(move || write(&disk, &stores, &stopped))
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
fn write(disk: &Mutex<Disk>, stores: &Mutex<Stores>, stopped: &Receiver<()>) {
    let mut failing = false;
    for round in 0_u32.. {
        let last = stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
        let all: Vec<_> =
            stores.lock().iter().map(|(name, kept)| (name.clone(), kept.clone())).collect();
        let failed = std::mem::take(&mut failing);
        let is_told = !failed || round % COMPLAINTS == 0;
        failing |= !write_all(disk, &all, is_told);
        if disk.lock().has_begun_anew() {
            // What the file had is still in memory.
            all.iter()
                .filter(|(_, kept)| kept.durable)
                .for_each(|(_, kept)| kept.store.all_changed());
            failing |= !write_all(disk, &all, is_told);
        }
        for (name, kept) in &all {
            if round % COMPLAINTS == 0 && kept.store.pushed_out() > 0 {
                tracing::warn!(
                    store = name,
                    "counters went before their time: raise counters.{name}.keys"
                );
            }
        }
        if last {
            break;
        }
    }
}

/// Whether all that changed is written.
fn write_all(disk: &Mutex<Disk>, all: &[(String, NamedStore)], is_told: bool) -> bool {
    let mut written = true;
    for (name, kept) in all {
        if let Err(error) = write_store(disk, name, &kept.store) {
            written = false;
            if is_told {
                let file = disk.lock().path().to_owned();
                tracing::error!(store = name, file = %file.display(), %error, "counters can't be \
                 written");
            }
        }
    }
    written
}

fn write_store(disk: &Mutex<Disk>, name: &str, store: &Store) -> Result<(), DiskError> {
    let changed: Vec<Arc<str>> = store.changed().into_iter().collect();
    for (number, keys) in changed.chunks(BATCH).enumerate() {
        if let Err(error) = disk.lock().write(name, keys, &store.look(keys)) {
            store.not_written(changed[number * BATCH..].iter().cloned());
            return Err(error);
        }
    }
    Ok(())
}

/// The stores of one configuration, with its bounds.
#[derive(Default)]
pub struct CountersView {
    clock: Clock,
    stores: HashMap<String, (Arc<Store>, Bounds)>,
}

impl CountersView {
    fn store(&self, name: &str) -> Result<&(Arc<Store>, Bounds), UnknownStore> {
        self.stores.get(name).ok_or_else(|| UnknownStore(name.to_owned()))
    }
}

impl facteur_policy::Counters for CountersView {
    fn is_store(&self, name: &str) -> bool {
        self.stores.contains_key(name)
    }

    fn get(&self, store: &str, key: &str) -> Result<Option<Count>, UnknownStore> {
        let (store, _) = self.store(store)?;
        Ok(store.get(key, self.clock.now()))
    }

    fn add(
        &self,
        store: &str,
        key: &str,
        amount: u64,
        lifetime: Lifetime,
    ) -> Result<Count, UnknownStore> {
        let (store, bounds) = self.store(store)?;
        Ok(store.add(key, amount, lifetime, self.clock.now(), *bounds))
    }

    fn take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let (store, bounds) = self.store(store)?;
        Ok(store.take(key, amount, bucket, self.clock.now(), *bounds))
    }

    fn would_take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let (store, _) = self.store(store)?;
        Ok(store.would_take(key, amount, bucket, self.clock.now()))
    }

    fn remove(&self, store: &str, key: &str) -> Result<bool, UnknownStore> {
        let (store, bounds) = self.store(store)?;
        Ok(store.remove(key, self.clock.now(), *bounds))
    }
}
