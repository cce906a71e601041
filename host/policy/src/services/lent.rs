//! All services together.

use std::sync::Arc;

use super::{
    Clock, Connect, Counters, Dns, Files, Lists, Mailboxes, Nothing, Scanners, Tables, Verify,
};

/// What is lent, one for each subject. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The operator's tables.
    pub tables: Arc<dyn Tables>,
    /// The DNS.
    pub dns: Arc<dyn Dns>,
    /// Who has a mailbox.
    pub mailboxes: Arc<dyn Mailboxes>,
    /// Lists in files.
    pub lists: Arc<dyn Lists>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The virus scanners.
    pub scanners: Arc<dyn Scanners>,
    /// The stores of counters.
    pub counters: Arc<dyn Counters>,
    /// The folders of files.
    pub files: Arc<dyn Files>,
    /// Who talks to other programs.
    pub connect: Arc<dyn Connect>,
    /// Who asks other servers about addresses.
    pub verify: Arc<dyn Verify>,
}

impl Default for Services {
    /// Nothing is lent.
    fn default() -> Self {
        Self::of(&Arc::new(Nothing))
    }
}

impl Services {
    /// All of them from one.
    pub fn of<All>(all: &Arc<All>) -> Self
    where
        All: Tables
            + Dns
            + Mailboxes
            + Lists
            + Clock
            + Scanners
            + Counters
            + Files
            + Connect
            + Verify
            + 'static,
    {
        Self {
            tables: all.clone(),
            dns: all.clone(),
            mailboxes: all.clone(),
            lists: all.clone(),
            clock: all.clone(),
            scanners: all.clone(),
            counters: all.clone(),
            files: all.clone(),
            connect: all.clone(),
            verify: all.clone(),
        }
    }
}
