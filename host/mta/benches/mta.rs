//! What the operator's tables cost with ten thousand entries: asked by themselves, and by the
//! plugins that ship.

#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that fails may panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use divan::{Bencher, black_box};
use facteur::config::{Config, Format, TableSource};
use facteur::snapshot::{Purpose, Snapshot};
use facteur::tables::Tables;
use facteur_policy::{Consignment, Decision, SessionFacts, Tags};
use facteur_smtp::{Address, MailParameters, RcptParameters};
use tokio::runtime::Runtime;

/// Entries of each table.
const ENTRIES: usize = 10_000;
/// Before a bench asks for the same key again.
const STEP: usize = 7_919;

fn main() {
    divan::main();
}

/// A name of a user, an alias or a domain; no two are the same.
fn name(number: usize) -> String {
    format!("entry{:05}", number % ENTRIES)
}

/// A table of so many lines.
fn lines(line: impl Fn(&str) -> String) -> String {
    (0..ENTRIES).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", line(&name(number))).unwrap();
        text
    })
}

/// What counts up through the entries, far apart from one to the next.
#[derive(Default)]
struct Next(AtomicUsize);

impl Next {
    fn name(&self) -> String {
        name(self.0.fetch_add(STEP, Ordering::Relaxed))
    }

    fn address(&self, domain: &str) -> Address {
        format!("{}@{domain}", self.name()).parse().unwrap()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// One look into a table. Patterns are tried in turn: half of them on the average.
#[divan::bench(args = ["texthash", "aliases", "regexp", "cidr", "texthash, not there"])]
fn find(bencher: Bencher, kind: &str) {
    let (format, text) = match kind {
        "aliases" => {
            (Format::Aliases, lines(|name| format!("{name}: user, {name}@elsewhere.test")))
        }
        "regexp" => (Format::Regexp, lines(|name| format!("/^{name}@(.*)$/ user@$1"))),
        "cidr" => {
            let octets = |name: &str| name[5..].parse::<usize>().unwrap();
            (
                Format::Cidr,
                lines(|name| format!("10.{}.{}.0/24 OK", octets(name) / 256, octets(name) % 256)),
            )
        }
        _ => (Format::Texthash, lines(|name| format!("{name}@local.test user"))),
    };
    let folder = folder();
    let path = folder.path().join("table");
    fs::write(&path, text).unwrap();
    let source = TableSource::File { path, format };
    let (tables, errors) = Tables::open(&BTreeMap::from([("t".to_owned(), source)]), None);
    assert!(errors.is_empty(), "{errors:?}");
    let next = Next::default();
    let key = || match kind {
        "texthash, not there" => format!("{}@elsewhere.test", next.name()),
        "aliases" => next.name(),
        "cidr" => {
            let number: usize = next.name()[5..].parse().unwrap();
            format!("10.{}.{}.1", number / 256, number % 256)
        }
        _ => format!("{}@local.test", next.name()),
    };
    let there = !kind.ends_with("not there");
    bencher.with_inputs(key).bench_local_values(|key| {
        let found = tables.find("t", &[black_box(&key)]).unwrap();
        assert_eq!(found.is_some(), there, "{key}");
        found
    });
}

/// A site with the three plugins that ship, each with a table.
struct Site {
    runtime: Runtime,
    snapshot: Snapshot,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let folder = folder();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("users", lines(|name| format!("{name} -")));
    // Two steps: the alias, and the user that it stands for.
    write("aliases", lines(|name| format!("alias-{name}: {name}")));
    write("routes", lines(|name| format!("{name}.test smtp:[hop.test]")));
    let file = folder.path().join("facteur.toml");
    let config = Config::parse(&file, CONFIG).unwrap_or_else(|errors| panic!("{errors:?}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let snapshot = runtime.block_on(async {
        let shared = facteur::operate::serve::shared(&config, None, 64).unwrap();
        let engine = facteur_policy::Runtime::new(16).unwrap();
        // The tables are in memory from here on, and nobody watches their files.
        Snapshot::load(config, &engine, &shared, None, Purpose::Start)
            .await
            .unwrap_or_else(|errors| panic!("{errors:?}"))
    });
    Site { runtime, snapshot }
});

/// The owner of the mailboxes must be somebody, and gets no mail here.
const CONFIG: &str = r#"
hostname = "bench.test"
[[listen]]
address = "127.0.0.1:2525"
[domains]
origin = "local.test"
local = ["local.test"]
[mailboxes]
users = "table:users"
path = "mail/{user}/"
owner = "nobody"
[spool]
path = "spool"
[dns]
servers = ["127.0.0.1"]
[tables.users]
file = "users"
[tables.aliases]
file = "aliases"
format = "aliases"
[tables.routes]
file = "routes"
[[plugin]]
name = "restrictions"
component = "builtin:restrictions"
[plugin.settings]
recipient = ["permit_mynetworks", "reject_unauth_destination"]
[plugin.grants]
relay = true
[[plugin]]
name = "aliases"
component = "builtin:aliases"
[plugin.settings]
aliases = ["aliases"]
[plugin.grants]
lookup = ["aliases"]
[[plugin]]
name = "transport-map"
component = "builtin:transport-map"
[plugin.settings]
tables = ["routes"]
[plugin.grants]
lookup = ["routes"]
"#;

/// What an alias stands for.
#[divan::bench]
fn alias(bencher: Bencher) {
    let site = &*SITE;
    let next = Next::default();
    bencher
        .with_inputs(|| format!("alias-{}@local.test", next.name()).parse().unwrap())
        .bench_local_values(|alias: Address| {
            let found = site.runtime.block_on(site.snapshot.policy.resolve(alias, &Arc::default()));
            assert!(found.len() == 1 && found[0].refusal.is_none(), "{found:?}");
            found
        });
}

/// Where an address goes: asked anew for each of many recipients, and answered from what is kept.
#[divan::bench(args = ["asked", "kept"])]
fn route(bencher: Bencher, kind: &str) {
    let site = &*SITE;
    let (numbers, tags) = (AtomicUsize::new(0), Tags::default());
    let address = || {
        let user = if kind == "kept" { 0 } else { numbers.fetch_add(1, Ordering::Relaxed) };
        format!("user{user}@{}.test", name(user.wrapping_mul(STEP))).parse().unwrap()
    };
    bencher.with_inputs(address).bench_local_values(|to: Address| {
        let of =
            Consignment { sender: None, tags: &tags, utf8: false, address: &to, original: &to };
        site.runtime.block_on(site.snapshot.policy.next_hop(of, &Arc::default())).unwrap()
    });
}

/// One RCPT of a new transaction, through all three plugins: to a user, to an alias, to a relay
/// that its client may use.
#[divan::bench(args = ["user", "alias", "relay"])]
fn rcpt(bencher: Bencher, kind: &str) {
    let site = &*SITE;
    let chain = site.snapshot.policy.chain(None);
    let client: SocketAddr = "127.0.0.1:1025".parse().unwrap();
    let next = Next::default();
    let address = || match kind {
        "alias" => format!("alias-{}@local.test", next.name()).parse().unwrap(),
        "relay" => format!("user@{}.test", next.name()).parse().unwrap(),
        _ => next.address("local.test"),
    };
    bencher.with_inputs(address).bench_local_values(|to: Address| {
        let facts = Arc::new(SessionFacts::new("s".into(), "l".into(), client, true));
        let session = site.snapshot.policy.session(&chain, facts);
        let mut transaction =
            session.begin(Some("sender@example.org".parse().unwrap()), MailParameters::default());
        assert_eq!(
            site.runtime.block_on(transaction.rcpt(to.into(), RcptParameters::default())),
            Decision::Accept
        );
    });
}
