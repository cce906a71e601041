//! Plugins in other languages than Rust (`tests/languages`), each with the same four hooks: what
//! they answer, thousands of times, in fresh sandboxes and in one that lives on; what a bug of
//! theirs comes to; and settings that they refuse.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{Memory, policy, refused, transaction, try_policy};
use facteur_policy::{
    Advice, Attempted, Consignment, Decision, Grants, Isolation, Message, PluginConfig, Policy,
    Tags, Trace, TraceStep, Transaction,
};
use facteur_smtp::{RcptParameters, Reply, status};

/// How often the hooks of each are called, for each way of isolation.
const CALLS: usize = 3_000;

/// Its Subject is folded and encoded, and says `Grüße aus Berlin`.
const LETTER: &str = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n aus Berlin\r\n\r\nHello\r\n";
const OFFER: &str = "From: a\r\n\r\nBUY NOW\r\n";

#[tokio::test]
async fn a_plugin_in_c_answers_as_every_other() {
    speaks("c").await;
}

#[tokio::test]
async fn a_plugin_in_go_answers_as_every_other() {
    speaks("go").await;
}

#[tokio::test]
async fn a_plugin_in_javascript_answers_as_every_other() {
    speaks("js").await;
}

#[tokio::test]
async fn a_plugin_in_python_answers_as_every_other() {
    speaks("python").await;
}

async fn speaks(language: &str) {
    refuses_settings(language).await;
    for isolation in [Isolation::Transaction, Isolation::Shared] {
        let mut config = plugin(language, r#"{"table": "access"}"#);
        if isolation == Isolation::Shared {
            // Python's sandbox goes on only where it has room: it begins with 13 MiB.
            config.limits.memory = 32 << 20;
        }
        let policy = policy(vec![PluginConfig { isolation, ..config }], memory()).await;
        let mut steps = Vec::new();
        while steps.len() < CALLS {
            round(&policy, &mut steps).await;
        }
        let micros: u64 = steps.iter().map(|step| step.micros).sum();
        let mean = micros / steps.len() as u64;
        println!("{language}, {isolation:?}: {} calls, {mean} µs each", steps.len());
        survives_a_bug(language, &policy).await;
    }
}

fn plugin(language: &str, settings: &str) -> PluginConfig {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/languages");
    let component = components.join(language).with_extension("wasm");
    let wasm = std::fs::read(&component).unwrap_or_else(|error| {
        panic!("{}: {error}: run `cargo xtask languages`", component.display())
    });
    PluginConfig {
        name: language.to_owned(),
        wasm: wasm.into(),
        settings: settings.to_owned(),
        grants: Grants { lookup: vec!["access".into()], ..Grants::default() },
        ..PluginConfig::default()
    }
}

fn memory() -> Memory {
    let access = HashMap::from([("here@local.test".to_owned(), "known".to_owned())]);
    Memory {
        tables: HashMap::from([
            ("access".to_owned(), access),
            ("other".to_owned(), HashMap::new()),
        ]),
        mailboxes: vec!["ann".into(), "bob".into()],
        ..Memory::default()
    }
}

/// Every hook with every answer that it has; adds what was asked to `steps`.
async fn round(policy: &Arc<Policy>, steps: &mut Vec<TraceStep>) {
    let mut letter = transaction(policy).await;
    assert_eq!(rcpt(&mut letter, "here@local.test").await, Decision::Accept);
    assert_eq!(rcpt(&mut letter, "team@local.test").await, Decision::Accept);
    let told = refused(&rcpt(&mut letter, "no@local.test").await);
    assert_eq!(told, "550 5.7.1 client.test may not write to no");
    let told = refused(&rcpt(&mut letter, "gone@local.test").await);
    assert!(told.starts_with("550 5.1.1 ") && told.contains("moved away"), "{told}");
    assert_eq!(send(&mut letter, LETTER).await, Decision::Accept);
    let trace = letter.trace().clone();
    let outgoing = letter.finish().await;
    let ways: Vec<_> = outgoing
        .recipients
        .iter()
        .map(|one| (one.address.to_string(), one.sender.as_ref().map(ToString::to_string)))
        .collect();
    let owner = Some("owner-team@local.test".to_owned());
    assert_eq!(
        ways,
        [
            ("here@local.test".to_owned(), None),
            ("ann@local.test".to_owned(), owner.clone()),
            ("bob@local.test".to_owned(), owner)
        ]
    );
    assert_eq!(outgoing.tags, [("found".to_owned(), "known".to_owned())]);
    let edited = outgoing.edited.unwrap().content().read(0, usize::MAX).unwrap();
    let edited = String::from_utf8(edited).unwrap();
    assert!(edited.contains("\r\nX-Subject: =?"), "{edited}");

    let mut offer = transaction(policy).await;
    assert_eq!(rcpt(&mut offer, "here@local.test").await, Decision::Accept);
    assert_eq!(refused(&send(&mut offer, OFFER).await), "550 5.7.1 no, thank you");

    let later = Reply::new(450, status::MAILBOX, "later");
    assert_eq!(advice(policy, &later, 2, &trace).await, Advice::RetryAfter(Duration::from_mins(2)));
    assert_eq!(advice(policy, &later, 4, &trace).await, Advice::AsPlanned);
    let delivered = Reply::new(250, status::UNDEFINED, "Ok");
    assert_eq!(advice(policy, &delivered, 1, &trace).await, Advice::AsPlanned);

    let all = trace.take().into_iter().chain(offer.trace().take());
    steps.extend(all.filter(|step| step.plugin.is_some()));
}

async fn rcpt(transaction: &mut Transaction, to: &str) -> Decision {
    transaction.rcpt(to.parse().unwrap(), RcptParameters::default()).await
}

async fn send(transaction: &mut Transaction, message: &str) -> Decision {
    assert_eq!(transaction.data().await, Decision::Accept);
    transaction.end_of_data(Message::new(Arc::new(message.as_bytes().to_vec()))).await
}

async fn advice(policy: &Arc<Policy>, said: &Reply, number: u32, trace: &Arc<Trace>) -> Advice {
    let address = "ann@local.test".parse().unwrap();
    let consignment = Consignment {
        sender: None,
        tags: &Tags::default(),
        utf8: false,
        address: &address,
        original: &address,
    };
    let next_try = (said.code >= 400).then_some(1);
    policy.advice(consignment, Attempted { number, host: None, reply: said, next_try }, trace).await
}

/// A panic, an exception, an abort: the operator reads what it was, and the next call is as if
/// nothing had been.
async fn survives_a_bug(language: &str, policy: &Arc<Policy>) {
    for _ in 0..10 {
        let mut transaction = transaction(policy).await;
        let told = refused(&rcpt(&mut transaction, "panic@local.test").await);
        assert!(told.starts_with("451 4.3.5 "), "{language}: {told}");
        let steps = transaction.trace().take();
        let told = &steps.iter().find(|step| step.plugin.is_some()).unwrap().answer;
        assert!(told.contains("the recipient panic was asked about"), "{language}: {told}");
        round(policy, &mut Vec::new()).await;
        assert_eq!(rcpt(&mut transaction, "here@local.test").await, Decision::Accept);
    }
}

async fn refuses_settings(language: &str) {
    for (settings, told) in [
        ("{}", "set `table`"),
        (r#"{"table": 7}"#, "table"),
        (r#"{"table": "other"}"#, "lookup = ["),
    ] {
        let errors = try_policy(vec![plugin(language, settings)], memory()).await.err().unwrap();
        let error = errors[0].to_string();
        assert!(error.contains(told), "{language}, {settings}: {error}");
    }
}
