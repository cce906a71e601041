//! How long an instance lives: what a plugin keeps in its memory is gone with the transaction,
//! unless the operator lets it be shared.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{policy, policy_with, probe, rcpt, refused, relaying, transaction, users};
use facteur_policy::{Decision, Isolation, Message, PluginConfig, Policy};
use facteur_smtp::RcptParameters;

/// A plugin that remembers at this place, and what it then says of the one before.
const PLACES: [(&str, &str); 8] = [
    (r#"{"connect": "remember"}"#, "remembered connect"),
    (r#"{"helo": "remember"}"#, "remembered helo"),
    (r#"{"mail": "remember"}"#, "remembered mail"),
    (r#"{"rcpt": "remember"}"#, "remembered louen"),
    (r#"{"data": "remember"}"#, "remembered data"),
    (r#"{"end-of-data": "remember"}"#, "remembered end-of-data"),
    (r#"{"alias": {"louen@local.test": "remember"}}"#, "remembered louen"),
    (r#"{"transport": {"local.test": "remember"}}"#, "remembered louen"),
];

fn shared(config: PluginConfig) -> PluginConfig {
    PluginConfig { isolation: Isolation::Shared, ..config }
}

/// A whole transaction, to the end or to the first refusal.
async fn pass(policy: &Arc<Policy>) -> Decision {
    let mut transaction = transaction(policy).await;
    let decision =
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
    if decision != Decision::Accept {
        return decision;
    }
    let decision = transaction.data().await;
    if decision != Decision::Accept {
        return decision;
    }
    transaction.end_of_data(Message::new(Arc::new(b"Subject: x\r\n\r\n".to_vec()))).await
}

#[tokio::test]
async fn no_hook_remembers_the_transaction_before() {
    for (settings, _) in PLACES {
        let policy = policy(vec![relaying(probe("spy", settings))], users()).await;
        for _ in 0..20 {
            assert_eq!(pass(&policy).await, Decision::Accept, "{settings}");
        }
    }
}

/// The control: the same plugins do remember, where they may.
#[tokio::test]
async fn a_shared_instance_does_remember() {
    for (settings, told) in PLACES {
        let policy = policy(vec![shared(probe("spy", settings))], users()).await;
        assert_eq!(pass(&policy).await, Decision::Accept, "{settings}");
        let told_then = refused(&pass(&policy).await);
        assert!(told_then.contains(told), "{settings}: {told_then}");
    }
}

/// Which recipients, of so many in transactions of their own, met an instance that was new.
async fn new_ones(policy: &Arc<Policy>, count: usize) -> Vec<usize> {
    let mut new = Vec::new();
    for number in 0..count {
        if rcpt(policy, "louen@local.test").await == Decision::Accept {
            new.push(number);
        }
    }
    new
}

#[tokio::test]
async fn a_shared_instance_is_renewed() {
    let policy = policy(vec![shared(probe("spy", r#"{"rcpt": "remember"}"#))], users()).await;
    // An accepted recipient is a second question to the same plugin, about aliases, and a third
    // about the route: those find the instance idle again.
    let new = new_ones(&policy, 2_500).await;
    assert_eq!(new.len(), 3, "{new:?}");
}

#[tokio::test]
async fn a_failure_ends_a_shared_instance() {
    let settings = r#"{"rcpt": ["for:louen", "remember"], "alias": {"admin@local.test": "trap"}}"#;
    let policy = policy(vec![shared(probe("spy", settings))], users()).await;
    assert_eq!(new_ones(&policy, 3).await, [0]);
    refused(&rcpt(&policy, "admin@local.test").await);
    assert_eq!(new_ones(&policy, 3).await, [0]);
}

/// What one question saw, the next doesn't see: neither its recipient nor its transaction, though
/// the instance is the same.
#[tokio::test]
async fn a_shared_instance_sees_the_transaction_that_it_is_asked_about() {
    let policy =
        policy(vec![shared(probe("echo", r#"{"rcpt": "echo:{recipient}"}"#))], users()).await;
    for name in ["louen", "admin"] {
        let told = refused(&rcpt(&policy, &format!("{name}@local.test")).await);
        assert!(told.contains(name), "{told}");
    }
}

#[tokio::test]
async fn idle_instances_give_way() {
    let one = shared(probe("one", r#"{"rcpt": "no-opinion"}"#));
    let two = shared(probe("two", r#"{"rcpt": "no-opinion"}"#));
    let policy = policy_with(1, vec![one, two], users()).await;
    for _ in 0..3 {
        // Were the idle instance of the other not dropped, this would hear 451 after five seconds.
        assert_eq!(rcpt(&policy, "louen@local.test").await, Decision::Accept);
    }
}
