//! What a question to a plugin costs: in a fresh sandbox, on a live one and without any, on one
//! thread and on two, alone and in a chain.
//!
//! divan prints medians; how bad the worst hundredth of the hook calls is, is printed below its
//! table.

#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that fails may panic")]

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "what the tests share")]
mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use common::{Memory, probe, users};
use divan::Bencher;
use facteur_policy::{
    Decision, Grants, Isolation, PluginConfig, Policy, SessionFacts, Transaction,
};
use facteur_smtp::{MailParameters, RcptParameters};
use tokio::runtime::Runtime;

/// As in the program: what one thread makes, another drops.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls in a sample: threads start a sample together, and of one call alone most would be the way
/// out of that wait.
const SAMPLE: u32 = 100;
/// Calls of which the worst hundredth is told.
const CALLS: usize = 100_000;
/// As many as make a pool that wasmtime divides among threads, like the program's.
const SANDBOXES: u32 = 1024;
/// In each of the site's tables.
const ENTRIES: usize = 10_000;

fn main() {
    divan::main();
    for threads in [1, 2] {
        worst_hundredth(threads);
    }
    traffic();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

thread_local! {
    static RUNTIME: Runtime = runtime();
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Plugins of which nothing is remembered.
fn load(plugins: Vec<PluginConfig>) -> Arc<Policy> {
    load_with(plugins, users(), 0)
}

/// With so many bytes for what is remembered.
fn load_with(plugins: Vec<PluginConfig>, services: Memory, memos: usize) -> Arc<Policy> {
    let services = Arc::new(services);
    let loaded = common::load(SANDBOXES, common::domains(), plugins, &services, memos);
    runtime().block_on(loaded).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A plugin that looks at the recipient and has no opinion.
fn plain(name: &str) -> PluginConfig {
    PluginConfig { wasm: guest("hostile/plain").into(), ..probe(name, "{}") }
}

/// One plugin, which is asked once at each RCPT.
fn one() -> &'static Arc<Policy> {
    static POLICY: OnceLock<Arc<Policy>> = OnceLock::new();
    POLICY.get_or_init(|| load(vec![plain("one")]))
}

fn guest(name: &str) -> Vec<u8> {
    let path = format!("{}/../../target/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}: run `cargo xtask plugins`"))
}

/// One of the project's plugins, which may look into these tables.
fn site_plugin(name: &str, settings: &str, lookup: &[&str]) -> PluginConfig {
    let lookup = lookup.iter().map(ToString::to_string).collect();
    let grants = Grants { relay: name == "restrictions", lookup, ..Grants::default() };
    PluginConfig { wasm: guest(&format!("plugins/{name}")).into(), grants, ..probe(name, settings) }
}

/// Tables as `cargo xtask bench` makes them.
fn site_tables() -> Memory {
    let mut services = users();
    let mut table = |name: &str, entry: &dyn Fn(usize) -> (String, String)| {
        services.tables.insert(name.to_owned(), (0..ENTRIES).map(entry).collect());
    };
    table("hold", &|_| ("held@example.org".to_owned(), "HOLD".to_owned()));
    table("aliases", &|number| (format!("old{number}"), "louen".to_owned()));
    table("virtual", &|number| {
        (format!("{number}member@alias.test"), format!("member@club{number}.test"))
    });
    table("via", &|number| (format!("club{number}.test"), "smtp:[192.0.2.1]".to_owned()));
    services
}

/// What the site has: three plugins.
fn load_site(how: How) -> Arc<Policy> {
    let restrictions = r#"{
        "client": ["permit_mynetworks"],
        "sender": ["check_sender_access table:hold"],
        "recipient": ["permit_mynetworks", "reject_unauth_destination"]
    }"#;
    let plugins = [
        site_plugin(
            "aliases",
            r#"{"aliases": ["aliases"], "virtual": ["virtual"]}"#,
            &["aliases", "virtual"],
        ),
        site_plugin("transport-map", r#"{"tables": ["via"]}"#, &["via"]),
        site_plugin("restrictions", restrictions, &["hold"]),
    ];
    let (isolation, memos) = match how {
        How::Fresh => (Isolation::Transaction, 0),
        How::Shared => (Isolation::Shared, 0),
        How::Remembered => (Isolation::Transaction, 32 << 20),
    };
    let plugins = plugins.map(|plugin| PluginConfig { isolation, ..plugin });
    load_with(plugins.into(), site_tables(), memos)
}

/// How questions are answered.
#[derive(Debug, Clone, Copy)]
enum How {
    /// In a fresh sandbox for each transaction.
    Fresh,
    /// In one that idles.
    Shared,
    /// Without one, once they come again.
    Remembered,
}

fn facts() -> Arc<SessionFacts> {
    let client = "203.0.113.25:1025".parse().unwrap();
    Arc::new(SessionFacts::new("s1".into(), "127.0.0.1:25".into(), client, false))
}

fn transaction(policy: &Arc<Policy>) -> Transaction {
    let session = policy.session(&policy.chain(None), facts());
    session.begin(Some("sender@example.org".parse().unwrap()), MailParameters::default())
}

fn rcpt(transaction: &mut Transaction) {
    let decision =
        block_on(transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()));
    assert_eq!(decision, Decision::Accept);
}

/// One call: a sandbox is made, asked, and thrown away.
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn rcpt_fresh(bencher: Bencher) {
    let policy = one();
    bencher.bench(|| rcpt(&mut transaction(policy)));
}

/// The same with `isolation = "shared"`: the instance is one that idles.
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn rcpt_shared(bencher: Bencher) {
    static POLICY: OnceLock<Arc<Policy>> = OnceLock::new();
    let shared = || PluginConfig { isolation: Isolation::Shared, ..plain("shared") };
    let policy = POLICY.get_or_init(|| load(vec![shared()]));
    bencher.bench(|| rcpt(&mut transaction(policy)));
}

/// The same as it is remembered: the recipient is asked for, and no sandbox.
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn rcpt_remembered(bencher: Bencher) {
    static POLICY: OnceLock<Arc<Policy>> = OnceLock::new();
    let policy = POLICY.get_or_init(|| load_with(vec![plain("kept")], users(), 1 << 20));
    bencher.bench(|| rcpt(&mut transaction(policy)));
}

/// What is looked up for nothing, before a sandbox is asked: no recipient comes again.
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn rcpt_never_again(bencher: Bencher) {
    let policy = load_with(vec![plain("missed")], users(), 1 << 20);
    let number = AtomicUsize::new(0);
    bencher.bench(|| {
        // In letters: the plugin doesn't like some numbers.
        let number = number.fetch_add(1, Ordering::Relaxed).to_string();
        let letters: String = number.bytes().map(|digit| char::from(digit + 49)).collect();
        let recipient = format!("{letters}@relay.test");
        let mut transaction = transaction(&policy);
        let rcpt = transaction.rcpt(recipient.parse().unwrap(), RcptParameters::default());
        assert_eq!(block_on(rcpt), Decision::Accept);
    });
}

/// One call on the sandbox that was asked before.
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn rcpt_live(bencher: Bencher) {
    let policy = one();
    let asked = || {
        let mut transaction = transaction(policy);
        rcpt(&mut transaction);
        transaction
    };
    bencher.with_inputs(asked).bench_refs(rcpt);
}

/// A transaction of three recipients and four plugins: each is asked three times in one fresh
/// sandbox.
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn four_plugins_three_calls(bencher: Bencher) {
    static POLICY: OnceLock<Arc<Policy>> = OnceLock::new();
    let policy = POLICY.get_or_init(|| load(["a", "b", "c", "d"].map(plain).into()));
    bencher.bench(|| {
        let mut transaction = transaction(policy);
        (0..3).for_each(|_| rcpt(&mut transaction));
    });
}

/// A whole transaction as the site's: the three plugins, each table of 10,000 entries, a recipient
/// that is expanded and routed. Nothing but policy: no socket, no spool.
#[divan::bench(args = [How::Fresh, How::Shared, How::Remembered], threads = [1, 2], sample_size = SAMPLE)]
fn site(bencher: Bencher, how: How) {
    let policy = load_site(how);
    let member = AtomicUsize::new(0);
    bencher.bench(|| {
        let number = member.fetch_add(1, Ordering::Relaxed) % ENTRIES;
        let member = format!("{number}member@alias.test");
        block_on(async {
            let session = policy.session(&policy.chain(None), facts());
            assert_eq!(session.connect().await, Decision::Accept);
            assert_eq!(session.hello("client.test", true).await, Decision::Accept);
            let mut transaction =
                session.begin(Some("held@example.org".parse().unwrap()), MailParameters::default());
            assert_eq!(
                transaction.rcpt(member.parse().unwrap(), RcptParameters::default()).await,
                Decision::Accept
            );
            assert_eq!(transaction.data().await, Decision::Accept);
            assert_eq!(transaction.finish().await.recipients.len(), 1);
        });
    });
}

/// What a recipient costs without plugins, which is in all of these.
#[divan::bench]
fn no_plugin(bencher: Bencher) {
    let policy = load(Vec::new());
    bencher.bench(|| rcpt(&mut transaction(&policy)));
}

/// Times each call in a fresh sandbox, on so many threads at once, and prints what most of them and
/// what the worst take.
fn worst_hundredth(threads: usize) {
    let (policy, barrier) = (one(), Barrier::new(threads));
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    (0..CALLS / threads)
                        .map(|_| {
                            let started = Instant::now();
                            rcpt(&mut transaction(policy));
                            started.elapsed()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        each.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100];
    println!(
        "rcpt_fresh on {threads} thread(s): median {:?}, p99 {:?}, {CALLS} calls",
        at(50),
        at(99)
    );
}

/// Who sends: clients and senders, by a Zipf law.
const SENDERS: usize = 100_000;
/// To whom, by the same.
const RECIPIENTS: usize = 2_000;
/// Transactions of a turn.
const TURN: usize = 5_000;

/// Draws ranks of which each is half as likely as the one of half its number.
struct Zipf {
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(of: usize, seed: u64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: u32| {
            sum += 1.0 / f64::from(rank);
            sum
        };
        Self { sums: (1..=u32::try_from(of).unwrap()).map(weight).collect(), state: seed }
    }

    fn draw(&mut self) -> usize {
        // A linear congruential generator: the same traffic in each run.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let lot = f64::from((self.state >> 32) as u32) / f64::from(u32::MAX);
        let wanted = lot * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|sum| *sum < wanted).min(self.sums.len() - 1)
    }
}

/// The plugins of a site that defends itself.
fn defended(memos: usize) -> Arc<Policy> {
    let restrictions = r#"{
        "client": ["permit_mynetworks", "check_client_access table:clients"],
        "helo": ["reject_invalid_helo_hostname"],
        "sender": ["reject_non_fqdn_sender", "check_sender_access table:senders"],
        "recipient": ["reject_non_fqdn_recipient", "reject_unauth_destination"]
    }"#;
    let mut services = users();
    services.mailboxes.extend((0..RECIPIENTS).map(|number| format!("u{number}")));
    for (name, key) in [("clients", "198.51.100"), ("senders", "spam.test")] {
        let table = [(key.to_owned(), "REJECT".to_owned())];
        services.tables.insert(name.to_owned(), table.into());
    }
    for store in ["grey", "rates"] {
        services.counters.insert(store.to_owned(), std::sync::Mutex::default());
    }
    let counting = |name: &str, settings: &str, store: &str| {
        let plugin = site_plugin(name, settings, &[]);
        let counters = vec![store.to_owned()];
        PluginConfig { grants: Grants { counters, dns: true, ..plugin.grants.clone() }, ..plugin }
    };
    let rules = r#"{"store": "rates", "rules": [
        {"key": "client", "limit": 1000000, "per": "1h"},
        {"key": "sender", "limit": 1000000, "per": "1h"}
    ]}"#;
    let plugins = vec![
        site_plugin("restrictions", restrictions, &["clients", "senders"]),
        counting("dnsbl", r#"{"client": ["bl.test"]}"#, "grey"),
        counting("rate-limit", rules, "rates"),
        counting("greylist", r#"{"store": "grey"}"#, "grey"),
    ];
    load_with(plugins, services, memos)
}

/// Traffic like a site's: how often each plugin needed no sandbox, and what a transaction takes
/// with and without what is remembered, by turns.
fn traffic() {
    let policies = [defended(32 << 20), defended(0)];
    let mut times = [Vec::new(), Vec::new()];
    let (mut senders, mut recipients) = (Zipf::new(SENDERS, 7), Zipf::new(RECIPIENTS, 8));
    for turn in 0..16 {
        let mail: Vec<_> = (0..TURN).map(|_| (senders.draw(), recipients.draw())).collect();
        for which in [turn % 2, 1 - turn % 2] {
            let started = Instant::now();
            for (from, to) in &mail {
                block_on(arrive(&policies[which], *from, *to));
            }
            times[which].push(started.elapsed().as_nanos() / TURN as u128);
        }
    }
    for (name, times) in ["remembered", "asked"].iter().zip(&mut times) {
        times.sort_unstable();
        println!("traffic, {name}: {} ns a transaction", times[times.len() / 2]);
    }
    for plugin in policies[0].plugins() {
        println!("  {}: {:?}", plugin.name(), plugin.remembered());
    }
}

async fn arrive(policy: &Arc<Policy>, from: usize, to: usize) {
    let client = std::net::Ipv4Addr::from(0x0b00_0000 + u32::try_from(from).unwrap());
    let facts = SessionFacts::new("s1".into(), "127.0.0.1:25".into(), (client, 1025).into(), false);
    let session = policy.session(&policy.chain(None), Arc::new(facts));
    assert_eq!(session.connect().await, Decision::Accept);
    assert_eq!(session.hello(&format!("mail{from}.test"), true).await, Decision::Accept);
    let sender = format!("s{from}@d{}.test", from % 1_000).parse().unwrap();
    let mut transaction = session.begin(Some(sender), MailParameters::default());
    let recipient = format!("u{to}@local.test").parse().unwrap();
    let _ = transaction.rcpt(recipient, RcptParameters::default()).await;
}
