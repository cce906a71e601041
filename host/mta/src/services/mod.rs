//! What the program lends to policy: its tables, its resolver, its mailboxes, its lists, and what
//! plugins are granted by name.

pub mod connect;
pub mod counters;
pub mod dns;
pub mod files;
pub mod scanner;
pub mod verify;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use facteur_policy::{
    Connect, Counters, DnsError, Files, Found, MailExchanger, Scanners, Services, TableError,
    Unavailable, Verify,
};
use facteur_smtp::Address;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::services::connect::Connector;
use crate::services::counters::CountersView;
use crate::services::dns::Resolver;
use crate::services::files::Folders;
use crate::services::scanner::AllScanners;
use crate::services::verify::{Answers, Verifier};
use crate::tables::{FindError, Mailboxes, Tables, read_include};

/// What belongs to the program, whatever configuration is in force. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// The DNS.
    pub resolver: Arc<Resolver>,
    /// The stores of counters.
    pub counters: Arc<counters::Counters>,
    /// What other servers said about addresses.
    pub answers: Arc<Answers>,
}

/// The lent parts, of one configuration.
pub struct Lent {
    /// The operator's tables.
    pub tables: Arc<Tables>,
    /// Who has a mailbox.
    pub mailboxes: Arc<Mailboxes>,
    /// The DNS.
    pub resolver: Arc<Resolver>,
    /// The virus scanners.
    pub scanners: AllScanners,
    /// The stores of counters.
    pub counters: CountersView,
    /// The folders of files.
    pub folders: Folders,
    /// Who talks to other programs.
    pub connector: Connector,
    /// Who asks other servers about addresses.
    pub verifier: Verifier,
}

impl Services for Lent {
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>> {
        let found = match self.tables.find(table, keys) {
            Ok(found) => Ok(found.map(|found| Found { key: found.key, value: found.value })),
            Err(FindError::Unknown) => Err(TableError::Unknown(table.to_owned())),
            Err(FindError::Unavailable(why)) => Err(TableError::Unavailable(why)),
        };
        std::future::ready(found).boxed()
    }

    fn generation(&self) -> u64 {
        self.tables.generation()
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.resolver.addresses(name).boxed()
    }

    fn mail_exchangers<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MailExchanger>, DnsError>> {
        self.resolver.mail_exchangers(name).boxed()
    }

    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        self.resolver.texts(name).boxed()
    }

    fn name_servers<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        self.resolver.name_servers(name).boxed()
    }

    fn names_of(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        self.resolver.names_of(address).boxed()
    }

    fn mailbox<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>> {
        async move {
            let there = self.mailboxes.exists(address.local(), address.domain()).await;
            there.map_err(|error| Unavailable(error.0))
        }
        .boxed()
    }

    fn include<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        let path: PathBuf = path.to_owned();
        async move {
            let read = tokio::task::spawn_blocking(move || {
                read_include(&path).map_err(|e| Unavailable(e.to_string()))
            });
            read.await.unwrap_or_else(|error| Err(Unavailable(error.to_string())))
        }
        .boxed()
    }

    fn scanners(&self) -> &dyn Scanners {
        &self.scanners
    }

    fn counters(&self) -> &dyn Counters {
        &self.counters
    }

    fn files(&self) -> &dyn Files {
        &self.folders
    }

    fn connect(&self) -> &dyn Connect {
        &self.connector
    }

    fn verify(&self) -> &dyn Verify {
        &self.verifier
    }
}
