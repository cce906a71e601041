//! What the tests of policy share: the probe guest, and services made of tables in memory.

#[allow(dead_code, reason = "not every test file needs it")]
#[path = "../../../../tests/harness/component.rs"]
pub mod component;
mod lent;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use facteur_policy::{
    Class, Clock, Decision, Dns, DnsError, Domains, Facts, Found, Grants, Limits, Lists, LoadError,
    MailExchanger, Mailboxes, Memos, PluginConfig, Policy, PolicyConfig, Runtime, Services,
    Session, SessionFacts, TableError, Tables, Transaction, Unavailable,
};
use facteur_smtp::{Address, MailParameters, RcptParameters};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// What every test's plugins may keep, in bytes.
pub const MEMOS: usize = 1 << 20;

/// Enough for every test.
pub const SANDBOXES: u32 = 16;

/// The guest that does what its settings say.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn probe_wasm() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/hostile/probe.wasm");
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}: run `cargo xtask plugins`"))
}

/// Tables, mailboxes and lists in memory.
#[derive(Default)]
pub struct Memory {
    pub tables: HashMap<String, HashMap<String, String>>,
    pub mailboxes: Vec<String>,
    pub lists: HashMap<String, Vec<String>>,
    /// By store and key: counters that never expire.
    pub counters: HashMap<String, Mutex<HashMap<String, u64>>>,
    /// By folder and path: what is in the file.
    pub folders: HashMap<String, Mutex<HashMap<String, Vec<u8>>>>,
    /// By name: what they say, whatever is said to them.
    pub services: HashMap<String, String>,
    /// By name: what it takes for a virus.
    pub scanners: HashMap<String, String>,
    pub generation: AtomicU64,
    pub finds: AtomicU64,
    /// Entries that have changed since: by table and key; none is one that is gone.
    pub changed: Mutex<HashMap<(String, String), Option<String>>>,
    /// What was looked up and counted, in order.
    pub asked: Mutex<Vec<String>>,
}

impl Tables for Memory {
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>> {
        self.finds.fetch_add(1, Ordering::Relaxed);
        self.asked.lock().unwrap().push(format!("find {table} {keys:?}"));
        let changed = self.changed.lock().unwrap();
        let found = match self.tables.get(table) {
            None => Err(TableError::Unknown(table.to_owned())),
            Some(entries) => Ok(keys.iter().enumerate().find_map(|(key, name)| {
                let now = changed.get(&(table.to_owned(), name.clone())).cloned();
                let value = now.unwrap_or_else(|| entries.get(name).cloned())?;
                Some(Found { key, value })
            })),
        };
        std::future::ready(found).boxed()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

impl Clock for Memory {}

impl Dns for Memory {
    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        std::future::ready(Err(DnsError::NoSuchName)).boxed()
    }

    fn mail_exchangers<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MailExchanger>, DnsError>> {
        std::future::ready(Err(DnsError::NoSuchName)).boxed()
    }

    fn texts<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        std::future::ready(Err(DnsError::NoSuchName)).boxed()
    }

    fn name_servers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        std::future::ready(Err(DnsError::NoSuchName)).boxed()
    }

    fn names_of(&self, _: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        std::future::ready(Err(DnsError::NoSuchName)).boxed()
    }
}

impl Mailboxes for Memory {
    fn exists<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>> {
        let there = match address.local() {
            _ if address.domain().ends_with("relay.test") => Ok(true),
            "broken" => Err(Unavailable("the disk is away".into())),
            local => Ok(self.mailboxes.iter().any(|known| known == local)),
        };
        std::future::ready(there).boxed()
    }
}

impl Lists for Memory {
    fn lines<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        let list = self.lists.get(&path.display().to_string()).cloned();
        std::future::ready(
            list.ok_or_else(|| Unavailable(format!("{}: not found", path.display()))),
        )
        .boxed()
    }
}

/// One plugin of a chain.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn probe(name: &str, settings: &str) -> PluginConfig {
    PluginConfig {
        name: name.to_owned(),
        wasm: probe_wasm().into(),
        settings: settings.to_owned(),
        limits: Limits {
            memory: 4 << 20,
            timeout: Duration::from_secs(10),
            cpu: Duration::from_millis(100),
            concurrency: None,
        },
        ..PluginConfig::default()
    }
}

/// With the grant to relay.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn relaying(config: PluginConfig) -> PluginConfig {
    PluginConfig { grants: Grants { relay: true, ..config.grants.clone() }, ..config }
}

/// The domains of the tests: one of each class.
pub fn domains() -> Domains {
    domains_of("origin.test")
}

/// The same with this origin.
pub fn domains_of(origin: &str) -> Domains {
    let list = |domain: &str| vec![domain.to_owned()];
    let (local, alias, mailbox, relay) =
        (list("local.test"), list("alias.test"), list("mailbox.test"), list("relay.test"));
    Domains::new(
        origin,
        [
            (Class::Local, &local[..]),
            (Class::VirtualAlias, &alias[..]),
            (Class::VirtualMailbox, &mailbox[..]),
            (Class::Relay, &relay[..]),
        ],
    )
}

/// A policy of these plugins, or why not.
pub async fn try_policy(
    plugins: Vec<PluginConfig>,
    services: Memory,
) -> Result<Arc<Policy>, Vec<LoadError>> {
    load(SANDBOXES, domains(), plugins, &Arc::new(services), MEMOS).await
}

/// A policy with so many sandboxes.
#[allow(dead_code, reason = "not every test file needs it")]
pub async fn policy_with(
    sandboxes: u32,
    plugins: Vec<PluginConfig>,
    services: Memory,
) -> Arc<Policy> {
    load(sandboxes, domains(), plugins, &Arc::new(services), MEMOS)
        .await
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A policy for these domains.
#[allow(dead_code, reason = "not every test file needs it")]
pub async fn policy_for(
    domains: Domains,
    plugins: Vec<PluginConfig>,
    services: Memory,
) -> Arc<Policy> {
    load(SANDBOXES, domains, plugins, &Arc::new(services), MEMOS)
        .await
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The same with so many bytes for what is remembered.
pub async fn load(
    sandboxes: u32,
    domains: Domains,
    plugins: Vec<PluginConfig>,
    services: &Arc<Memory>,
    memos: usize,
) -> Result<Arc<Policy>, Vec<LoadError>> {
    let runtime = Runtime::new(sandboxes).unwrap();
    let config = PolicyConfig {
        plugins,
        domains,
        memos: Memos::new(memos),
        facts: Facts::OfRefusals,
        code: Some(code_cache()),
    };
    Policy::load(&runtime, config, Services::of(services)).await
}

/// Compiled once for all tests of a run.
fn code_cache() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

/// A policy of these plugins.
#[allow(dead_code, reason = "not every test file needs it")]
pub async fn policy(plugins: Vec<PluginConfig>, services: Memory) -> Arc<Policy> {
    match try_policy(plugins, services).await {
        Ok(policy) => policy,
        Err(errors) => panic!("{errors:?}"),
    }
}

/// The mailboxes that most tests have.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn users() -> Memory {
    Memory { mailboxes: vec!["louen".into(), "admin".into()], ..Memory::default() }
}

/// A session of a stranger, past EHLO.
pub async fn stranger(policy: &Arc<Policy>) -> Session {
    let client = "203.0.113.25:1025".parse().unwrap();
    let facts = SessionFacts::new("s1".into(), "127.0.0.1:25".into(), client, false);
    let session = policy.session(&policy.chain(None), Arc::new(facts));
    assert_eq!(session.connect().await, Decision::Accept);
    assert_eq!(session.hello("client.test", true).await, Decision::Accept);
    session
}

/// A transaction of that stranger.
pub async fn transaction(policy: &Arc<Policy>) -> Transaction {
    stranger(policy)
        .await
        .begin(Some("sender@example.org".parse().unwrap()), MailParameters::default())
}

/// One RCPT of that stranger, in a transaction of its own.
#[allow(dead_code, reason = "not every test file needs it")]
pub async fn rcpt(policy: &Arc<Policy>, to: &str) -> Decision {
    transaction(policy).await.rcpt(to.parse().unwrap(), RcptParameters::default()).await
}

/// The reply of a refusal, in one line.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn refused(decision: &Decision) -> String {
    match decision {
        Decision::Refuse(reply) => reply.to_string(),
        other => panic!("{other:?} where a refusal was expected"),
    }
}
