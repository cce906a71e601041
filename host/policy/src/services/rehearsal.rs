//! Services for a question whose answer changes nothing: what can be read is read, what would leave
//! a trace leaves none.
//!
//! Counters are whatever is handed in ([`super::Overlay`] for one rehearsal, stores of its own for
//! a plugin in the shadow). Files are read; what is written is answered as if it had been. Other
//! programs are talked to only if the operator says so, since what that does to them nobody here
//! can know.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use facteur_smtp::Address;
use futures_util::future::{BoxFuture, ready};

use super::{
    Connect, ConnectError, Counters, DnsError, FileAnswer, FileError, FileInfo, Files, Found,
    MailExchanger, Scanners, Services, Step, TableError, Unavailable, Verify,
};

/// Services that leave no trace.
pub struct Rehearsal {
    beneath: Arc<dyn Services>,
    counters: Box<dyn Counters>,
    talks: bool,
}

impl Rehearsal {
    /// With these counters; `talks`: whether other programs are talked to.
    pub fn new(beneath: Arc<dyn Services>, counters: Box<dyn Counters>, talks: bool) -> Self {
        Self { beneath, counters, talks }
    }
}

impl Services for Rehearsal {
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>> {
        self.beneath.find(table, keys)
    }

    fn generation(&self) -> u64 {
        self.beneath.generation()
    }

    fn are_real(&self) -> bool {
        false
    }

    fn now(&self) -> u64 {
        self.beneath.now()
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.beneath.addresses(name)
    }

    fn mail_exchangers<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MailExchanger>, DnsError>> {
        self.beneath.mail_exchangers(name)
    }

    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        self.beneath.texts(name)
    }

    fn name_servers<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        self.beneath.name_servers(name)
    }

    fn names_of(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        self.beneath.names_of(address)
    }

    fn mailbox<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>> {
        self.beneath.mailbox(address)
    }

    fn include<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        self.beneath.include(path)
    }

    fn scanners(&self) -> &dyn Scanners {
        self.beneath.scanners()
    }

    fn counters(&self) -> &dyn Counters {
        &*self.counters
    }

    fn files(&self) -> &dyn Files {
        self
    }

    fn connect(&self) -> &dyn Connect {
        self
    }

    fn verify(&self) -> &dyn Verify {
        self.beneath.verify()
    }
}

impl Files for Rehearsal {
    fn is_folder(&self, name: &str) -> bool {
        self.beneath.files().is_folder(name)
    }

    fn read<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        offset: u64,
        length: usize,
    ) -> FileAnswer<'a, Vec<u8>> {
        self.beneath.files().read(folder, path, offset, length)
    }

    fn info<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, FileInfo> {
        self.beneath.files().info(folder, path)
    }

    fn list<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        after: Option<&'a str>,
    ) -> FileAnswer<'a, Vec<String>> {
        self.beneath.files().list(folder, path, after)
    }

    fn write<'a>(&'a self, folder: &'a str, _: &'a str, _: Vec<u8>) -> FileAnswer<'a, ()> {
        let known = self.is_folder(folder);
        Box::pin(ready(if known {
            Ok(())
        } else {
            Err(FileError::UnknownFolder(folder.to_owned()))
        }))
    }

    fn remove<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, ()> {
        Box::pin(async move { self.beneath.files().info(folder, path).await.map(drop) })
    }
}

impl Connect for Rehearsal {
    fn is_service(&self, name: &str) -> bool {
        self.beneath.connect().is_service(name)
    }

    fn exchange<'a>(
        &'a self,
        service: &'a str,
        steps: Vec<Step>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, ConnectError>> {
        if self.talks || !self.is_service(service) {
            return self.beneath.connect().exchange(service, steps);
        }
        Box::pin(ready(Err(ConnectError::Unavailable(
            "a rehearsal talks to no other program".to_owned(),
        ))))
    }
}
