//! Guests that misbehave: what they can't do, and what the client hears when they try.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{
    Memory, SANDBOXES, domains, load, policy, probe, rcpt, refused, relaying, transaction,
    try_policy, users,
};
use facteur_policy::{Decision, OnError};
use facteur_smtp::RcptParameters;

/// Whatever a guest does, the client hears 451, and the next one is served.
async fn contained(word: &str) {
    let policy = policy(vec![probe("bad", &format!(r#"{{"rcpt": "{word}"}}"#))], users()).await;
    for _ in 0..3 {
        assert_eq!(
            refused(&rcpt(&policy, "louen@local.test").await),
            "451 4.3.5 Policy error, try again later"
        );
    }
}

#[tokio::test]
async fn a_trap_is_contained() {
    contained("trap").await;
}

#[tokio::test]
async fn an_endless_loop_is_contained() {
    contained("loop").await;
}

#[tokio::test]
async fn eaten_memory_is_contained() {
    contained("memory").await;
}

#[tokio::test]
async fn endless_recursion_is_contained() {
    contained("recurse").await;
}

#[tokio::test]
async fn a_flood_of_host_calls_is_contained() {
    contained("flood-log").await;
    contained("flood-lookup").await;
}

#[tokio::test]
async fn floods_of_tags_and_copies_are_contained() {
    contained("flood-tags").await;
    contained("flood-bcc").await;
}

#[tokio::test]
async fn answers_that_break_the_contract_count_as_traps() {
    for word in ["bad-code", "bad-class", "bad-drop", "bad-status", "megabytes", "fail"] {
        contained(word).await;
    }
}

#[tokio::test]
async fn a_loop_holds_up_nobody_else() {
    let looping = policy(vec![probe("bad", r#"{"rcpt": "loop"}"#)], users()).await;
    let fine = policy(vec![probe("good", r#"{"rcpt": "no-opinion"}"#)], users()).await;
    let attackers: Vec<_> = (0..4)
        .map(|_| {
            let looping = looping.clone();
            tokio::spawn(async move { rcpt(&looping, "louen@local.test").await })
        })
        .collect();
    let started = Instant::now();
    for _ in 0..10 {
        assert_eq!(rcpt(&fine, "louen@local.test").await, Decision::Accept);
    }
    let served = started.elapsed();
    for attacker in attackers {
        refused(&attacker.await.unwrap());
    }
    // On one thread: each question may wait for a few ticks of each of the four loops, and for no
    // loop's end.
    assert!(served < Duration::from_secs(2), "{served:?}");
}

#[tokio::test]
async fn relaying_needs_the_grant() {
    let settings = r#"{"rcpt": "allow-relay"}"#;
    let thief = policy(vec![probe("thief", settings)], users()).await;
    assert_eq!(
        refused(&rcpt(&thief, "x@elsewhere.test").await),
        "451 4.3.5 Policy error, try again later"
    );
    let granted = policy(vec![relaying(probe("granted", settings))], users()).await;
    assert_eq!(rcpt(&granted, "x@elsewhere.test").await, Decision::Accept);
}

#[tokio::test]
async fn allow_relay_at_another_stage_counts_as_a_trap() {
    for stage in ["connect", "helo", "mail"] {
        let settings = format!(r#"{{"{stage}": "allow-relay"}}"#);
        let policy = policy(vec![relaying(probe("early", &settings))], users()).await;
        assert_eq!(
            refused(&rcpt(&policy, "x@elsewhere.test").await),
            "451 4.3.5 Policy error, try again later"
        );
    }
}

#[tokio::test]
async fn the_operator_may_choose_to_reject() {
    let mut bad = probe("bad", r#"{"rcpt": "trap"}"#);
    bad.on_error = OnError::Reject;
    let policy = policy(vec![bad], users()).await;
    assert_eq!(refused(&rcpt(&policy, "louen@local.test").await), "554 5.3.5 Policy error");
}

#[tokio::test]
async fn nothing_is_remembered_from_one_transaction_to_the_next() {
    let spy = || vec![probe("spy", r#"{"rcpt": "remember"}"#)];
    let policy = load(SANDBOXES, domains(), spy(), &Arc::new(users()), 0).await.unwrap();
    for _ in 0..50 {
        let mut transaction = transaction(&policy).await;
        assert_eq!(
            transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await,
            Decision::Accept
        );
        // The control: within one transaction the sandbox is the same, and does remember.
        let again =
            transaction.rcpt("admin@local.test".parse().unwrap(), RcptParameters::default()).await;
        assert_eq!(refused(&again), "550 5.7.1 remembered louen");
    }
}

#[tokio::test]
async fn an_init_that_fails_stops_the_load_and_says_why() {
    for (word, why) in [
        ("error", "plugin \"bad\": the settings are?wrong"),
        ("loop", "plugin \"bad\": its init failed: more than 100ms of computing"),
        ("trap", "plugin \"bad\": its init failed: trap: "),
        ("large", "plugin \"bad\": its init failed: trap: keep of 65537 bytes (at most 65536)"),
    ] {
        let bad = probe("bad", &format!(r#"{{"init": "{word}"}}"#));
        let good = probe("good", "{}");
        let errors = try_policy(vec![bad, good], Memory::default()).await.err().unwrap();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().starts_with(why), "{}", errors[0]);
    }
}

#[tokio::test]
async fn what_is_no_component_is_told() {
    let mut module = probe("module", "{}");
    module.wasm = b"\0asm\x01\0\0\0".to_vec().into();
    let errors = try_policy(vec![module], Memory::default()).await.err().unwrap();
    assert!(errors[0].to_string().contains("it isn't a component"), "{}", errors[0]);
}

#[tokio::test]
async fn idle_clients_never_take_the_last_sandboxes() {
    let policy = policy(vec![probe("held", r#"{"rcpt": "no-opinion"}"#)], users()).await;
    let mut idle = Vec::new();
    for _ in 0..3 * SANDBOXES {
        let mut transaction = transaction(&policy).await;
        assert_eq!(
            transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await,
            Decision::Accept
        );
        idle.push(transaction);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_makes_callers_wait_and_then_hear_451() {
    // The restriction holds the only sandbox while the alias hook waits for one.
    let policy =
        common::policy_with(1, vec![probe("both", r#"{"rcpt": "reject-unlisted"}"#)], users())
            .await;
    assert!(refused(&rcpt(&policy, "louen@local.test").await).starts_with("451 4.3.5"));
    let policy = common::policy_with(1, vec![probe("one", r#"{"rcpt": "reject"}"#)], users()).await;
    assert_eq!(refused(&rcpt(&policy, "louen@local.test").await), "550 5.7.1 rejected at rcpt");
}
