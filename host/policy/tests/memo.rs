//! What is remembered of answers: it changes nothing but what a question costs.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use common::{MEMOS, Memory, SANDBOXES, domains, load, probe, rcpt, refused, relaying, users};
use facteur_policy::{
    Actions, Decision, Grants, Limits, Memos, Message, PluginConfig, Policy, Remembered,
    SessionFacts, TraceStep,
};
use facteur_smtp::{MailParameters, RcptParameters};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

/// A policy and what it is lent.
struct Site {
    policy: Arc<Policy>,
    services: Arc<Memory>,
}

impl Site {
    async fn new(plugins: Vec<PluginConfig>, services: Memory, memos: usize) -> Self {
        let services = Arc::new(services);
        let policy = load(SANDBOXES, domains(), plugins, &services, memos).await;
        Self { policy: policy.unwrap_or_else(|errors| panic!("{errors:?}")), services }
    }

    fn remembered(&self) -> Remembered {
        self.policy.plugins()[0].remembered()
    }
}

async fn one(settings: &str) -> Site {
    Site::new(vec![probe("p", settings)], users(), MEMOS).await
}

#[tokio::test]
async fn what_comes_again_needs_no_sandbox() {
    let site = one(r#"{"rcpt": ["for:louen", "reject"]}"#).await;
    for _ in 0..10 {
        let told = refused(&rcpt(&site.policy, "louen@local.test").await);
        assert_eq!(told, "550 5.7.1 rejected at rcpt");
    }
    // The first is seen, the second kept.
    let Remembered { hits, misses, octets } = site.remembered();
    assert_eq!((hits, misses), (8, 2));
    assert!(octets > 0);
}

#[tokio::test]
async fn what_has_an_effect_has_it_each_time() {
    let services = Memory {
        counters: HashMap::from([("mine".to_owned(), std::sync::Mutex::default())]),
        ..users()
    };
    let grants = Grants { counters: vec!["mine".into()], ..Grants::default() };
    let plugin = PluginConfig { grants, ..probe("p", r#"{"rcpt": ["rate:mine 12"]}"#) };
    let site = Site::new(vec![plugin], services, MEMOS).await;
    for number in 1..=20 {
        let decision = rcpt(&site.policy, "louen@local.test").await;
        assert_eq!(decision == Decision::Accept, number <= 12, "{number}: {decision:?}");
    }
    // A yes is remembered, how long to wait is not: 10, and 8 of the alias hook.
    assert_eq!(site.remembered().hits, 18);
}

#[tokio::test]
async fn what_asks_the_time_or_the_message_is_not_remembered() {
    // Those of the alias hook are, where it is asked.
    for (settings, hits) in
        [(r#"{"rcpt": ["echo:{session}"]}"#, 0), (r#"{"end-of-data": ["reject-subject:x"]}"#, 8)]
    {
        let site = one(settings).await;
        for _ in 0..10 {
            let mut transaction = common::transaction(&site.policy).await;
            if transaction
                .rcpt("louen@local.test".parse().unwrap(), RcptParameters::default())
                .await
                == Decision::Accept
            {
                let message = Message::new(Arc::new(b"Subject: y\r\n\r\n".to_vec()));
                assert_eq!(transaction.end_of_data(message).await, Decision::Accept);
            }
        }
        assert_eq!(site.remembered().hits, hits, "{settings}");
    }
}

#[tokio::test]
async fn what_a_sandbox_was_asked_before_is_not_remembered() {
    let site = one(r#"{"rcpt": ["remember"]}"#).await;
    for _ in 0..10 {
        assert_eq!(rcpt(&site.policy, "louen@local.test").await, Decision::Accept);
    }
    // Two are asked, and the alias hook in the same sandboxes; then twice more that alone.
    assert_eq!(site.remembered().hits, 14);
}

#[tokio::test]
async fn a_table_that_changes_is_asked_each_time() {
    let mut services = users();
    services.tables.insert("access".into(), HashMap::from([("louen".into(), "first".into())]));
    let grants = Grants { lookup: vec!["access".into()], ..Grants::default() };
    let plugin = PluginConfig { grants, ..probe("p", r#"{"rcpt": ["find:access:louen"]}"#) };
    let site = Site::new(vec![plugin], services, MEMOS).await;
    let told = async || refused(&rcpt(&site.policy, "louen@local.test").await);
    for _ in 0..5 {
        assert!(told().await.contains("first"));
    }
    let entry = ("access".to_owned(), "louen".to_owned());
    site.services.changed.lock().unwrap().insert(entry.clone(), Some("second".to_owned()));
    for _ in 0..5 {
        assert!(told().await.contains("second"));
    }
    site.services.changed.lock().unwrap().insert(entry, None);
    assert!(told().await.contains("None"));
    assert_eq!(site.remembered().hits, 6);
}

#[tokio::test]
async fn who_never_repeats_does_nothing_to_what_is_remembered() {
    let site = one(r#"{"rcpt": ["for:louen", "reject"], "mail": ["from:nobody", "reject"]}"#).await;
    for number in 0..5_000 {
        rcpt(&site.policy, &format!("u{number}@relay.test")).await;
    }
    let taken = site.remembered().octets;
    assert!(taken < 20_000, "{taken}");
}

#[tokio::test]
async fn what_is_remembered_fits_into_its_share() {
    let share = 64 << 10;
    let plugin = probe("p", r#"{"rcpt": ["for:nobody", "reject"]}"#);
    let site = Site::new(vec![plugin], users(), share).await;
    for number in 0..200 {
        for _ in 0..3 {
            rcpt(&site.policy, &format!("u{number}{}@local.test", "x".repeat(40))).await;
        }
        assert!(site.remembered().octets <= share as u64);
    }
    assert!(site.remembered().octets > share as u64 / 20, "{:?}", site.remembered());
}

#[tokio::test]
async fn a_reload_keeps_what_still_holds() {
    let memos = Memos::new(MEMOS);
    let services = Arc::new(users());
    let load = async |settings: &str| {
        let config = facteur_policy::PolicyConfig {
            plugins: vec![probe("p", settings)],
            domains: domains(),
            memos: memos.clone(),
            facts: facteur_policy::Facts::OfRefusals,
            code: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")),
        };
        let runtime = facteur_policy::Runtime::new(SANDBOXES).unwrap();
        let services = facteur_policy::Services::of(&services);
        Policy::load(&runtime, config, services).await.unwrap_or_else(|errors| panic!("{errors:?}"))
    };
    let settings = r#"{"rcpt": ["for:louen", "reject"]}"#;
    let first = load(settings).await;
    for _ in 0..3 {
        rcpt(&first, "louen@local.test").await;
    }
    assert_eq!(first.plugins()[0].remembered().hits, 1);
    let second = load(settings).await;
    rcpt(&second, "louen@local.test").await;
    assert_eq!(second.plugins()[0].remembered().hits, 2);
    let other = load(r#"{"rcpt": ["for:admin", "reject"]}"#).await;
    assert_eq!(other.plugins()[0].remembered(), Remembered::default());
}

#[tokio::test]
async fn a_refusal_tells_what_it_depended_on() {
    let site = one(r#"{"rcpt": ["for:louen", "from:sender", "reject"]}"#).await;
    // In a sandbox twice, then without.
    for number in 0..4 {
        let session = common::stranger(&site.policy).await;
        let from = Some("sender@example.org".parse().unwrap());
        let mut transaction = session.begin(from, MailParameters::default());
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
        let steps = transaction.trace().take();
        let step = steps.iter().find(|step| step.plugin.is_some()).unwrap();
        assert_eq!(
            step.facts,
            ["recipient.address = louen@local.test", "transaction.sender = sender@example.org",],
            "{number}"
        );
    }
}

/// Words for the stages of a made-up plugin: facts, conditions, effects, verdicts.
const WORDS: &[&str] = &[
    "for:louen",
    "from:a",
    "reject-if-tagged",
    "reject-unlisted",
    "rate:mine 5",
    "remember",
    "tag:seen",
    "session-tag:seen",
    "hold",
    "bcc:copy@local.test",
    "header:X-Seen:yes",
    "delay:1",
    "accept",
    "allow-relay",
    "reject",
    "defer-if-permit",
    "defer-if-reject",
    "discard",
    "fail",
    "trap",
    "bad-code",
    "echo:{helo} {port}",
    "find:access:louen",
    "find:access:admin",
];

fn words() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(WORDS, 0..5).prop_shuffle()
}

/// Settings of a made-up plugin.
fn settings() -> impl Strategy<Value = String> {
    let stages = ["mail", "rcpt", "data", "end-of-data"];
    let aliases = select(&["louen@local.test", "unknown", "exists", "admin@local.test"][..]);
    (proptest::collection::vec(words(), stages.len()), aliases).prop_map(move |(words, alias)| {
        let mut settings: serde_json::Map<_, _> = stages
            .iter()
            .zip(words)
            .map(|(stage, words)| ((*stage).to_owned(), words.into()))
            .collect();
        // It needs an envelope, which mail and what comes before lack.
        settings.insert("alias".into(), serde_json::json!({"all@local.test": alias}));
        serde_json::Value::Object(settings).to_string()
    })
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// A message: who sends it, to whom.
    Message(Index, Vec<Index>),
    /// An entry of the table changes.
    Changes(Index, Index),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let message = (any::<Index>(), proptest::collection::vec(any::<Index>(), 1..4))
        .prop_map(|(from, to)| Event::Message(from, to));
    let changes =
        (any::<Index>(), any::<Index>()).prop_map(|(key, value)| Event::Changes(key, value));
    proptest::collection::vec(prop_oneof![6 => message, 1 => changes], 20..60)
}

/// What came of an event, all of it.
type Story = (Vec<Decision>, Vec<TraceStep>, Option<(usize, Actions, Vec<(String, String)>, bool)>);

async fn happen(site: &Site, event: &Event) -> Option<Story> {
    let (from, to) = match event {
        Event::Message(from, to) => (from, to),
        Event::Changes(key, value) => {
            let key = ("access".to_owned(), (*key.get(&["louen", "admin"])).to_owned());
            let value = value.get(&[None, Some("one"), Some("two")]).map(str::to_owned);
            site.services.changed.lock().unwrap().insert(key, value);
            return None;
        }
    };
    let client = *from.get(&["203.0.113.25:1", "203.0.113.26:2", "198.51.100.1:3"]);
    let listener = "127.0.0.1:25".to_owned();
    let facts = SessionFacts::new("s1".into(), listener, client.parse().unwrap(), false);
    let session = site.policy.session(&site.policy.chain(None), Arc::new(facts));
    let mut decisions = vec![session.connect().await];
    let name = *from.get(&["client.test", "other.test"]);
    decisions.push(session.hello(name, true).await);
    let sender = from.get(&["a@example.org", "b@example.org"]).parse().unwrap();
    let mut transaction = session.begin(Some(sender), MailParameters::default());
    for to in to {
        let to = to.get(&[
            "louen@local.test",
            "admin@local.test",
            "nobody@local.test",
            "all@local.test",
            "x@relay.test",
            "y@elsewhere.test",
        ]);
        decisions.push(transaction.rcpt(to.parse().unwrap(), RcptParameters::default()).await);
    }
    if decisions[2..].contains(&Decision::Accept) {
        decisions.push(transaction.data().await);
        if decisions.last() == Some(&Decision::Accept) {
            let message = Message::new(Arc::new(b"Subject: x\r\n\r\nbody\r\n".to_vec()));
            decisions.push(transaction.end_of_data(message).await);
        }
    }
    let steps = transaction.trace().take().into_iter();
    let steps = steps.map(|step| TraceStep { micros: 0, ..step }).collect();
    let out = if decisions.last() == Some(&Decision::Accept) {
        let out = transaction.finish().await;
        Some((out.recipients.len(), out.actions, out.tags, out.discard))
    } else {
        None
    };
    Some((decisions, steps, out))
}

fn lent() -> Memory {
    let mut services = users();
    services.tables.insert("access".into(), HashMap::from([("louen".into(), "first".into())]));
    services.counters.insert("mine".into(), std::sync::Mutex::default());
    services
}

/// One that is asked in a fresh sandbox each time, without a memo too: it has one place, so that
/// none is kept.
fn forgetful(settings: &str) -> PluginConfig {
    let plugin = relaying(probe("p", settings));
    let grants = Grants {
        counters: vec!["mine".into()],
        lookup: vec!["access".into()],
        ..plugin.grants.clone()
    };
    let limits = Limits { concurrency: Some(1), ..plugin.limits };
    PluginConfig { grants, limits, ..plugin }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Made-up plugins, those that keep what they heard too: the same verdicts, actions, look-ups
    /// and stories, in the same order, as where each question is asked in a fresh sandbox.
    #[test]
    fn a_memo_changes_nothing(first in settings(), second in settings(), events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let plugins = || vec![forgetful(&first), PluginConfig {
                name: "q".into(),
                ..forgetful(&second)
            }];
            let on = Site::new(plugins(), lent(), MEMOS).await;
            let off = Site::new(plugins(), lent(), 0).await;
            for event in &events {
                prop_assert_eq!(happen(&on, event).await, happen(&off, event).await);
            }
            prop_assert_eq!(&*on.services.asked.lock().unwrap(), &*off.services.asked.lock().unwrap());
            prop_assert_eq!(off.remembered(), Remembered::default());
            Ok(())
        })?;
    }
}
