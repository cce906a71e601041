//! What the plugins that ship ask of the host, and how much fuel they burn, for questions that are
//! always the same.
//!
//! Fuel is about one for each instruction of the guest, on any processor. Another compiler may make
//! the guests a little different; the questions, and so the calls, stay the same.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use facteur::builtin;
use facteur::config::{Component, Config};
use facteur::snapshot::{Purpose, Snapshot};
use facteur_budget::{Ledger, site};
use facteur_policy::{
    Consignment, Decision, Dns, DnsError, Facts, Found, Lists, MailExchanger, Mailboxes, Memos,
    Meter, PluginConfig, Policy, PolicyConfig, Runtime, Services, SessionFacts, TableError, Tables,
    Tags, Unavailable, Used,
};
use facteur_smtp::{Address, MailParameters, RcptParameters};
use futures_util::future::BoxFuture;

/// The program's own services, and how often they are asked: tables, mailboxes, names, lists.
struct Counted {
    lent: Services,
    asked: AtomicU64,
}

impl Counted {
    /// How often any was asked.
    fn take(&self) -> u64 {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn one(&self) -> &Services {
        self.asked.fetch_add(1, Ordering::Relaxed);
        &self.lent
    }
}

impl Tables for Counted {
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>> {
        self.one().tables.find(table, keys)
    }

    fn generation(&self) -> u64 {
        self.lent.tables.generation()
    }
}

impl Dns for Counted {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        self.one().dns.addresses(name)
    }

    fn mail_exchangers<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MailExchanger>, DnsError>> {
        self.one().dns.mail_exchangers(name)
    }

    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, DnsError>> {
        self.one().dns.texts(name)
    }

    fn name_servers<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        self.one().dns.name_servers(name)
    }

    fn names_of(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        self.one().dns.names_of(address)
    }
}

impl Mailboxes for Counted {
    fn exists<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>> {
        self.one().mailboxes.exists(address)
    }
}

impl Lists for Counted {
    fn lines<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        self.one().lists.lines(path)
    }
}

/// The site's policy, with all of it counted.
struct Site {
    policy: Arc<Policy>,
    services: Arc<Counted>,
    meter: Arc<Meter>,
}

impl Site {
    async fn load() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policy");
        let text = site::configuration("127.0.0.1:25", &folder, Some("nobody"));
        let config = Config::parse(&folder.join("facteur.toml"), &text)
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let shared = facteur::operate::serve::shared(&config, None, 64).unwrap();
        let plain = Runtime::new(16).unwrap();
        let snapshot = Snapshot::load(config, &plain, &shared, None, Purpose::Check).await;
        let Snapshot { config, services, .. } =
            snapshot.unwrap_or_else(|errors| panic!("{errors:?}"));
        let services = Arc::new(Counted { lent: services.into(), asked: AtomicU64::default() });
        let plugins = config.plugins.iter().map(|plugin| {
            let Component::Builtin(name) = &plugin.component else {
                panic!("the site has what ships")
            };
            PluginConfig {
                name: plugin.name.clone(),
                wasm: builtin::component(name).unwrap().into(),
                settings: plugin.settings.clone(),
                grants: plugin.grants.clone(),
                early: plugin.early,
                isolation: plugin.isolation,
                limits: plugin.limits,
                on_error: plugin.on_error,
                ..PluginConfig::default()
            }
        });
        let meter = Arc::new(Meter::default());
        let runtime = Runtime::metered(16, meter.clone()).unwrap();
        let parts = PolicyConfig {
            plugins: plugins.collect(),
            domains: config.domains.clone(),
            // What is counted is the work of a question that is asked.
            memos: Memos::new(0),
            facts: Facts::OfRefusals,
            code: Some(config.policy.cache.clone()),
        };
        let counted = Services {
            tables: services.clone(),
            dns: services.clone(),
            mailboxes: services.clone(),
            lists: services.clone(),
            ..Services::default()
        };
        let policy =
            Policy::load(&runtime, parts, counted).await.unwrap_or_else(|e| panic!("{e:?}"));
        let site = Self { policy, services, meter };
        site.take();
        site
    }

    /// What was used since the last time: by each plugin, and of the services.
    fn take(&self) -> (BTreeMap<String, Used>, u64) {
        (self.meter.take(), self.services.take())
    }

    /// One RCPT, in a transaction of its own.
    async fn rcpt(&self, client: &str, sender: &str, to: &str) -> Decision {
        let client: SocketAddr = format!("{client}:1025").parse().unwrap();
        let facts =
            Arc::new(SessionFacts::new("s1".into(), "l".into(), client, client.ip().is_loopback()));
        let session = self.policy.session(&self.policy.chain(None), facts);
        assert_eq!(session.connect().await, Decision::Accept);
        assert_eq!(session.hello("client.test", true).await, Decision::Accept);
        let mut transaction = session.begin(
            Some(sender.parse().unwrap()),
            MailParameters { size: Some(4096), ..MailParameters::default() },
        );
        let decision = transaction.rcpt(to.parse().unwrap(), RcptParameters::default()).await;
        if decision == Decision::Accept {
            assert_eq!(transaction.data().await, Decision::Accept);
            assert_eq!(transaction.finish().await.recipients.len(), 1);
        }
        decision
    }
}

/// Nobody's address, and one that is trusted.
const STRANGER: &str = "203.0.113.25";
const FRIEND: &str = "127.0.0.1";

#[tokio::test]
async fn budget() {
    let site = Site::load().await;
    let mut ledger = Ledger::open(&["fuel", "calls"]);
    let mut enter = |question: &str| {
        let (used, asked) = site.take();
        ledger.enter(
            &format!("calls.{question}-questions"),
            used.values().map(|used| used.questions).sum(),
        );
        ledger.enter(
            &format!("calls.{question}-imports"),
            used.values().map(|used| used.calls).sum(),
        );
        ledger.enter(&format!("calls.{question}-services"), asked);
        for (plugin, used) in used {
            ledger.enter(&format!("fuel.{question}-{plugin}"), used.fuel);
        }
    };
    for (question, client, sender, to) in [
        ("user", STRANGER, site::SENDER, site::USER),
        ("held-alias", FRIEND, site::HELD, site::ALIAS),
        ("relayed", FRIEND, site::SENDER, site::ELSEWHERE),
    ] {
        assert_eq!(site.rcpt(client, sender, to).await, Decision::Accept, "{question}");
        enter(question);
    }
    for (question, to, code) in
        [("unknown", site::UNKNOWN, 550), ("relay-denied", site::ELSEWHERE, 554)]
    {
        match site.rcpt(STRANGER, site::SENDER, to).await {
            Decision::Refuse(reply) => assert_eq!(reply.code, code, "{reply}"),
            other => panic!("{question}: {other:?}"),
        }
        enter(question);
    }
    let (relayed, tags): (Address, _) = (site::RELAYED.parse().unwrap(), Tags::default());
    let of = Consignment {
        sender: None,
        tags: &tags,
        utf8: false,
        address: &relayed,
        original: &relayed,
    };
    let trace = Arc::default();
    let next_hop = || site.policy.next_hop(of, &trace);
    next_hop().await.unwrap();
    enter("next-hop");
    // What was answered is kept while no table changes.
    next_hop().await.unwrap();
    assert_eq!(site.take(), (BTreeMap::new(), 0));
    ledger.close();
}
