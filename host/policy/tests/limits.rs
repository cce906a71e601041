//! What an operator sets and sees: a plugin's share of the sandboxes, and the figures about it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::component::with_tables;
use common::{policy, policy_with, probe, probe_wasm, rcpt, refused, users};
use facteur_policy::{
    Decision, FAILURES_IN_A_ROW, Limits, PluginConfig, Policy, SessionFacts, Transaction,
};
use facteur_smtp::{MailParameters, RcptParameters};

/// One that uses so many sandboxes at most, and so much time.
fn limited(config: PluginConfig, concurrency: usize, cpu: Duration) -> PluginConfig {
    PluginConfig {
        limits: Limits { concurrency: Some(concurrency), cpu, ..config.limits },
        ..config
    }
}

/// One RCPT of which only this plugin is asked.
async fn rcpt_of(policy: &Arc<Policy>, plugin: &str) -> Decision {
    asked(policy, plugin).await.0
}

/// The same, and its transaction.
async fn asked(policy: &Arc<Policy>, plugin: &str) -> (Decision, Transaction) {
    let facts = SessionFacts::new(
        "s1".into(),
        "127.0.0.1:25".into(),
        "203.0.113.25:1025".parse().unwrap(),
        false,
    );
    let session = policy.session(&policy.chain(Some(&[plugin.to_owned()])), Arc::new(facts));
    let mut transaction =
        session.begin(Some("sender@example.org".parse().unwrap()), MailParameters::default());
    let decision =
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
    (decision, transaction)
}

/// A component with 60 small tables takes the room of 31 sandboxes each time it is asked.
#[tokio::test]
async fn a_plugin_with_many_tables_leaves_the_pool_to_the_others() {
    const ROOM: u32 = 124;
    let settings = r#"{"rcpt": "reject"}"#;
    let wasm = with_tables(&probe_wasm(), 60);
    let heavy = PluginConfig { wasm: wasm.into(), ..probe("heavy", settings) };
    let policy = policy_with(ROOM, vec![heavy, probe("light", settings)], users()).await;
    let of = |name: &str| policy.plugins().iter().find(|one| one.name() == name).unwrap();
    assert_eq!((of("heavy").weight(), of("heavy").limits().concurrency), (31, Some(2)));
    assert_eq!((of("light").weight(), of("light").limits().concurrency), (1, Some(62)));
    // Transactions that go on, and may keep their sandboxes.
    let mut going_on = Vec::new();
    for plugin in ["heavy"; 20].into_iter().chain(["light"; 20]) {
        let (decision, transaction) = asked(&policy, plugin).await;
        assert_eq!(refused(&decision), "550 5.7.1 rejected at rcpt", "{plugin}");
        going_on.push(transaction);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_hangs_leaves_sandboxes_to_the_others() {
    // It computes for longer than anybody waits for a sandbox.
    let bad = limited(probe("bad", r#"{"rcpt": "loop"}"#), 3, Duration::from_secs(9));
    let good = probe("good", r#"{"rcpt": "reject"}"#);
    let policy = policy_with(4, vec![bad, good], users()).await;
    let hanging: Vec<_> = (0..6)
        .map(|_| {
            let policy = policy.clone();
            tokio::spawn(async move { rcpt_of(&policy, "bad").await })
        })
        .collect();
    // Those beyond the share hear so, and soon.
    let started = Instant::now();
    let mut refused_by_then = 0;
    while refused_by_then < 3 {
        assert_eq!(refused(&rcpt_of(&policy, "good").await), "550 5.7.1 rejected at rcpt");
        tokio::task::yield_now().await;
        refused_by_then = hanging.iter().filter(|one| one.is_finished()).count();
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{refused_by_then} of those beyond the share were answered"
        );
    }
    for one in hanging {
        if one.is_finished() {
            assert_eq!(
                refused(&one.await.unwrap()),
                "451 4.3.2 Too busy to decide, try again later"
            );
        } else {
            one.abort();
        }
    }
    let counted = policy.plugins()[0].counted();
    assert_eq!(counted.errors["busy"], 3, "{counted:?}");
}

#[tokio::test]
async fn a_question_within_a_question_needs_no_second_place() {
    let both =
        limited(probe("both", r#"{"rcpt": "reject-unlisted"}"#), 1, Duration::from_millis(100));
    let policy = policy(vec![both], users()).await;
    assert_eq!(rcpt(&policy, "louen@local.test").await, Decision::Accept);
    assert!(refused(&rcpt(&policy, "nobody@local.test").await).contains("not listed"));
    // The place is free again.
    assert_eq!(rcpt(&policy, "louen@local.test").await, Decision::Accept);
}

#[tokio::test]
async fn by_default_a_plugin_may_use_half_of_the_sandboxes() {
    let policy = policy_with(10, vec![probe("one", "{}")], users()).await;
    assert_eq!(policy.plugins()[0].limits().concurrency, Some(5));
}

#[tokio::test]
async fn what_a_plugin_does_is_counted() {
    let settings = r#"{"rcpt": ["for:admin", "trap"], "end-of-data": "no-opinion", "alias": {"louen@local.test": "fail"}}"#;
    let policy = policy(vec![probe("probe", settings)], users()).await;
    let counted = || policy.plugins()[0].counted();
    assert_eq!((counted().calls, counted().p50_micros, counted().memory_peak > 0), (0, None, true));
    for _ in 1..FAILURES_IN_A_ROW {
        refused(&rcpt(&policy, "admin@local.test").await);
    }
    assert_eq!(counted().failing_since, None);
    refused(&rcpt(&policy, "admin@local.test").await);
    assert!(counted().failing_since.is_some());
    // Its restriction answers, then its alias hook fails.
    refused(&rcpt(&policy, "louen@local.test").await);
    let counted = counted();
    assert_eq!(counted.failing_since, None, "it answered");
    assert_eq!(counted.calls, u64::from(FAILURES_IN_A_ROW) + 2);
    let errors: Vec<_> =
        counted.errors.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(errors, [("failure", 1), ("trap", u64::from(FAILURES_IN_A_ROW))]);
    assert!(
        counted.p50_micros <= counted.p99_micros && counted.p99_micros.is_some(),
        "{counted:?}"
    );
    assert!((64 << 10..=4 << 20).contains(&counted.memory_peak), "{counted:?}");
    let plugin = &policy.plugins()[0];
    assert!(plugin.hooks().starts_with(&["on-rcpt", "on-end-of-data"]), "{:?}", plugin.hooks());
    assert_eq!(
        (plugin.identity().version.as_deref(), plugin.identity().hash.len()),
        (Some("0.1.0"), 64)
    );
}

#[tokio::test]
async fn eaten_memory_is_seen() {
    let policy = policy(vec![probe("bad", r#"{"rcpt": "memory"}"#)], users()).await;
    refused(&rcpt(&policy, "louen@local.test").await);
    let peak = policy.plugins()[0].counted().memory_peak;
    assert!((3 << 20..=4 << 20).contains(&peak), "{peak}");
}
