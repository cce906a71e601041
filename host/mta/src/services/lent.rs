//! What one configuration lends to policy, put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use facteur_policy::{Found, Lists, Memos, Nothing, Services, TableError, Unavailable};
use facteur_smtp::Address;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::auth;
use crate::services::connect::Connector;
use crate::services::counters::{Counters, CountersView};
use crate::services::dns::Resolver;
use crate::services::files::Folders;
use crate::services::scanner::AllScanners;
use crate::services::verify::{Answers, Verifier};
use crate::tables::{FindError, Mailboxes, Tables, read_include};
use crate::tls::Tickets;

/// What belongs to the program, whatever configuration is in force. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// The DNS.
    pub resolver: Arc<Resolver>,
    /// The stores of counters.
    pub counters: Arc<Counters>,
    /// What other servers said about addresses.
    pub answers: Arc<Answers>,
    /// What makes tickets of TLS.
    pub tickets: Tickets,
    /// What is remembered of plugins' answers.
    pub memos: Arc<Memos>,
    /// Where passwords are checked, and who failed.
    pub auth: auth::Shared,
}

/// The lent parts, of one configuration. Cheap to clone.
#[derive(Clone)]
pub struct Lent {
    /// The operator's tables.
    pub tables: Arc<Tables>,
    /// Who has a mailbox.
    pub mailboxes: Arc<Mailboxes>,
    /// The DNS.
    pub resolver: Arc<Resolver>,
    /// The virus scanners.
    pub scanners: Arc<AllScanners>,
    /// The stores of counters.
    pub counters: Arc<CountersView>,
    /// The folders of files.
    pub folders: Arc<Folders>,
    /// Who talks to other programs.
    pub connector: Arc<Connector>,
    /// Who asks other servers about addresses.
    pub verifier: Arc<Verifier>,
}

impl From<Lent> for Services {
    fn from(lent: Lent) -> Self {
        Self {
            tables: lent.tables,
            dns: lent.resolver,
            mailboxes: lent.mailboxes,
            lists: Arc::new(ListFiles),
            // The machine's own.
            clock: Arc::new(Nothing),
            scanners: lent.scanners,
            counters: lent.counters,
            files: lent.folders,
            connect: lent.connector,
            verify: lent.verifier,
        }
    }
}

impl facteur_policy::Tables for Tables {
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>> {
        let found = match self.find(table, keys) {
            Ok(found) => Ok(found.map(|found| Found { key: found.key, value: found.value })),
            Err(FindError::Unknown) => Err(TableError::Unknown(table.to_owned())),
            Err(FindError::Unavailable(why)) => Err(TableError::Unavailable(why)),
        };
        std::future::ready(found).boxed()
    }

    fn generation(&self) -> u64 {
        self.generation()
    }
}

impl facteur_policy::Mailboxes for Mailboxes {
    fn exists<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>> {
        async move {
            let there = self.exists(address).await;
            there.map_err(|error| Unavailable(error.0))
        }
        .boxed()
    }
}

/// Lists in the files of this machine.
struct ListFiles;

impl Lists for ListFiles {
    fn lines<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        let path: PathBuf = path.to_owned();
        async move {
            let read = tokio::task::spawn_blocking(move || {
                read_include(&path).map_err(|e| Unavailable(e.to_string()))
            });
            read.await.unwrap_or_else(|error| Err(Unavailable(error.to_string())))
        }
        .boxed()
    }
}
