//! What only plugins ask, in memory.

use std::sync::Arc;
use std::time::Duration;

use facteur_policy::{
    Bucket, Connect, ConnectError, Content, Count, Counters, FileAnswer, FileError, Files,
    Lifetime, ScanError, Scanned, Scanners, SmtpRoute, Step, Taken, UnknownStore, Verified, Verify,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Memory;
use facteur_smtp::{Address, Reply, status};

impl Scanners for Memory {
    fn is_scanner(&self, name: &str) -> bool {
        self.scanners.contains_key(name)
    }

    fn scan<'a>(
        &'a self,
        scanner: &'a str,
        content: Arc<dyn Content>,
    ) -> BoxFuture<'a, Result<Scanned, ScanError>> {
        let virus = self.scanners[scanner].as_bytes();
        let bytes = content.read(0, 1 << 20).expect("it is in memory");
        ready(match virus {
            b"down" => Err(ScanError::Unavailable("nobody is there".to_owned())),
            b"small" => Err(ScanError::TooLarge),
            _ if bytes.windows(virus.len()).any(|part| part == virus) => {
                Ok(Scanned::Infected("Test".to_owned()))
            }
            _ => Ok(Scanned::Clean),
        })
        .boxed()
    }
}

/// Nothing expires here: a bucket never fills again. What time does is tested where it passes.
impl Counters for Memory {
    fn is_store(&self, name: &str) -> bool {
        self.counters.contains_key(name)
    }

    fn get(&self, store: &str, key: &str) -> Result<Option<Count>, UnknownStore> {
        Ok(self.counters[store].lock().unwrap().get(key).map(|value| count(*value)))
    }

    fn add(&self, store: &str, key: &str, amount: u64, _: Lifetime) -> Result<Count, UnknownStore> {
        self.asked.lock().unwrap().push(format!("add {store} {key} {amount}"));
        let mut counters = self.counters[store].lock().unwrap();
        let value = counters.entry(key.to_owned()).or_default();
        *value += amount;
        Ok(count(*value))
    }

    fn take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let taken = self.add(store, key, amount.into(), Lifetime::FromNow(bucket.period))?.value;
        Ok(if taken <= bucket.size.into() { Taken::Yes } else { Taken::Wait(bucket.period) })
    }

    fn would_take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let taken = self.get(store, key)?.map_or(0, |count| count.value) + u64::from(amount);
        Ok(if taken <= bucket.size.into() { Taken::Yes } else { Taken::Wait(bucket.period) })
    }

    fn remove(&self, store: &str, key: &str) -> Result<bool, UnknownStore> {
        Ok(self.counters[store].lock().unwrap().remove(key).is_some())
    }
}

fn count(value: u64) -> Count {
    Count { value, age: Duration::ZERO, left: Duration::from_secs(1) }
}

/// The local part says what the next hop thinks of it; the words name the next hop.
impl Verify for Memory {
    fn callout<'a>(
        &'a self,
        address: &'a Address,
        route: &'a SmtpRoute,
    ) -> BoxFuture<'a, Verified> {
        ready(match address.local() {
            "yes" => Verified::Deliverable,
            "no" => Verified::Undeliverable(Reply::new(
                550,
                status::BAD_MAILBOX,
                format!("{} doesn't know", route.host),
            )),
            _ => Verified::Unknown(format!("{} is away\r\n{}", route.host, "x".repeat(1_000))),
        })
        .boxed()
    }
}

/// Only what a grant is for: the paths are looked at where there are files.
impl Files for Memory {
    fn is_folder(&self, name: &str) -> bool {
        self.folders.contains_key(name)
    }

    fn read<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        offset: u64,
        length: usize,
    ) -> FileAnswer<'a, Vec<u8>> {
        let files = self.folders[folder].lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let part =
            files.get(path).map(|content| content[offset..].iter().take(length).copied().collect());
        ready(part.ok_or(FileError::NotFound)).boxed()
    }

    fn write<'a>(&'a self, folder: &'a str, path: &'a str, content: Vec<u8>) -> FileAnswer<'a, ()> {
        self.folders[folder].lock().unwrap().insert(path.to_owned(), content);
        ready(Ok(())).boxed()
    }

    fn remove<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, ()> {
        let removed = self.folders[folder].lock().unwrap().remove(path);
        ready(removed.map(drop).ok_or(FileError::NotFound)).boxed()
    }
}

impl Connect for Memory {
    fn is_service(&self, name: &str) -> bool {
        self.services.contains_key(name)
    }

    fn exchange<'a>(
        &'a self,
        service: &'a str,
        steps: Vec<Step>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, ConnectError>> {
        let answer = self.services[service].as_bytes().to_vec();
        ready(Ok(vec![answer; steps.len()])).boxed()
    }
}
