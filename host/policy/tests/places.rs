//! What there is in which hook, and how a question is told that went wrong.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::{Memory, policy, probe, refused, stranger, try_policy, users};
use facteur_policy::{Consignment, Grants, Message, PluginConfig, Tags, Trace};
use facteur_smtp::RcptParameters;

/// What the trace tells of the last question to a plugin, of a whole message and its route.
async fn told(settings: &str) -> String {
    let policy = policy(vec![probe("p", settings)], users()).await;
    let mut transaction = common::transaction(&policy).await;
    transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
    transaction.data().await;
    transaction.end_of_data(Message::new(Arc::new(b"A: b\r\n\r\n".to_vec()))).await;
    let steps = transaction.trace().take();
    let failed =
        |step: &&facteur_policy::TraceStep| step.plugin.is_some() && step.answer.contains(':');
    steps.iter().find(failed).map(|step| step.answer.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn a_function_that_has_no_sense_in_a_hook_says_where_it_has() {
    for (hook, function, place) in [
        ("mail", "recipient.address", "on-rcpt, on-alias, on-transport and on-delivery"),
        ("rcpt", "message.size", "on-end-of-data and on-content"),
        ("rcpt", "scanner.scan", "on-end-of-data and on-content"),
        ("rcpt", "message-edit.add-header", "on-content"),
        ("end-of-data", "message-edit.quarantine", "on-content"),
        ("end-of-data", "lookup.find-recipient", "on-rcpt, on-alias, on-transport and on-delivery"),
        ("data", "attempt.number", "on-delivery"),
        ("connect", "credentials.password", "on-authenticate"),
    ] {
        assert_eq!(
            told(&format!(r#"{{"{hook}": "call-{function}"}}"#)).await.split(';').next().unwrap(),
            format!("trap: {function} was called in on-{hook}: it is for {place}")
        );
    }
    for (function, place) in [
        ("session.client-address", "all hooks but on-alias, on-transport and on-delivery"),
        ("transaction.sender", "all hooks but on-alias and on-authenticate"),
        ("lookup.find-client", "all hooks but on-alias, on-transport and on-delivery"),
        ("recipient.listed", "hooks with recipients, but not on-alias"),
    ] {
        let settings = format!(r#"{{"alias": {{"louen@local.test": "call-{function}"}}}}"#);
        assert_eq!(
            told(&settings).await.split(';').next().unwrap(),
            format!("trap: {function} was called in on-alias: it is for {place}")
        );
    }
}

#[tokio::test]
async fn before_there_is_an_envelope_nothing_is_asked_of_it() {
    for (function, works) in [("transaction.exists", true), ("transaction.sender", false)] {
        let settings = format!(r#"{{"connect": "call-{function}"}}"#);
        let early = PluginConfig { early: true, ..probe("early", &settings) };
        let policy = policy(vec![early], users()).await;
        let session = stranger_or_refused(&policy).await;
        assert_eq!(session, works, "{function}");
    }
}

async fn stranger_or_refused(policy: &Arc<facteur_policy::Policy>) -> bool {
    let client = "203.0.113.25:1025".parse().unwrap();
    let facts = facteur_policy::SessionFacts::new("s".into(), "l".into(), client, false);
    let session = policy.session(&policy.chain(None), Arc::new(facts));
    session.connect().await == facteur_policy::Decision::Accept
}

#[tokio::test]
async fn an_action_in_the_queue_is_a_trap() {
    let settings = r#"{"transport": {"relay.test": "hold"}}"#;
    let policy = policy(vec![probe("p", settings)], users()).await;
    let (to, tags, trace) =
        ("x@relay.test".parse().unwrap(), Tags::default(), Arc::new(Trace::default()));
    let of = Consignment { sender: None, tags: &tags, utf8: false, address: &to, original: &to };
    assert!(policy.next_hop(of, &trace).await.is_err());
    let answer = trace.take().remove(0).answer;
    assert!(
        answer.starts_with(
            "trap: transaction.hold was called in on-transport: it is for the hooks of a session"
        ),
        "{answer}"
    );
}

#[tokio::test]
async fn a_trap_tells_the_panic_and_the_functions_on_the_stack() {
    let panicked = told(r#"{"rcpt": "panic"}"#).await;
    assert!(
        panicked.starts_with("trap: wasm `unreachable` instruction executed: panicked at")
            && panicked.contains("the guest panics"),
        "{panicked}"
    );
    assert_eq!(panicked.matches("trap").count(), 1, "{panicked}");
}

#[tokio::test]
async fn what_init_skips_is_not_asked() {
    let plugin = probe("p", r#"{"init": "skip:on-rcpt", "rcpt": "reject", "mail": "no-opinion"}"#);
    let policy = policy(vec![plugin], users()).await;
    assert!(!policy.plugins()[0].hooks().contains(&"on-rcpt"));
    assert_eq!(common::rcpt(&policy, "louen@local.test").await, facteur_policy::Decision::Accept);
    let wrong = probe("p", r#"{"init": "skip:on-nothing"}"#);
    let error = try_policy(vec![wrong], users()).await.err().unwrap().remove(0).to_string();
    assert!(
        error.starts_with(
            "plugin \"p\": its init failed: trap: settings.skip of \"on-nothing\", which it \
             doesn't export (on-connect, "
        ),
        "{error}"
    );
    let late = told(r#"{"rcpt": "skip"}"#).await;
    assert!(
        late.starts_with("trap: settings.skip was called in on-rcpt: it is for init"),
        "{late}"
    );
}

/// A plugin that may ask all tables, and echoes this at a stage.
async fn found(stage: &str, what: &str) -> String {
    let table = |entries: &[(&str, &str)]| -> HashMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let tables = HashMap::from([
        ("clients".to_owned(), table(&[("unknown", "nameless"), ("203.0.113", "network")])),
        ("networks".to_owned(), table(&[("203.0.113", "network")])),
        ("names".to_owned(), table(&[("test", "helo"), (".client.test", "no")])),
        ("senders".to_owned(), table(&[("example.org", "domain"), ("sender@", "user")])),
        ("users".to_owned(), table(&[("louen@local.test", "louen"), ("@local.test", "all")])),
        ("aliases".to_owned(), table(&[("louen", "alias")])),
        ("routes".to_owned(), table(&[(".test", "parent"), ("*", "wildcard")])),
    ]);
    let names: Vec<String> = tables.keys().cloned().collect();
    let settings = format!(r#"{{"{stage}": "echo:{{{what}}}"}}"#);
    let grants = Grants { lookup: names, ..Grants::default() };
    let plugin = PluginConfig { grants, ..probe("p", &settings) };
    let policy = policy(vec![plugin], Memory { tables, ..users() }).await;
    let mut transaction = common::transaction(&policy).await;
    let decision =
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
    let reply =
        if stage == "data" { refused(&transaction.data().await) } else { refused(&decision) };
    reply.strip_prefix("550 5.7.1 ").unwrap_or(&reply).to_owned()
}

#[tokio::test]
async fn tables_are_asked_about_what_the_question_is_about() {
    for (what, value) in [
        ("find-client clients", "nameless"),
        ("find-client networks", "network"),
        ("find-client names,networks", "network"),
        ("find-helo names", "helo"),
        ("find-sender senders access", "domain"),
        ("find-sender senders transport", "domain"),
        ("find-sender senders alias", "nothing"),
        ("find-recipient users address", "louen"),
        ("find-recipient aliases,users address", "louen"),
        ("find-recipient aliases alias", "alias"),
        ("find-recipient routes transport", "parent"),
        ("find-recipient senders access", "nothing"),
    ] {
        assert_eq!(found("rcpt", what).await, value, "{what}");
    }
    assert_eq!(found("data", "find-accepted users address").await, "louen");
    let ungranted = found("rcpt", "find-client other").await;
    assert!(ungranted.starts_with("Error::NotGranted("), "{ungranted}");
}

#[tokio::test]
async fn settings_are_read_one_by_one() {
    let settings = r#"{"rcpt": "echo:{setting-text owner.x} {setting-texts mail} {setting-names owner} {setting-number mail} {setting-yes-or-no helo}",
        "owner": {"x": "text"}, "mail": ["no-opinion"]}"#;
    let policy = policy(vec![probe("p", settings)], users()).await;
    let told = refused(&common::rcpt(&policy, "louen@local.test").await);
    assert_eq!(
        told,
        "550 5.7.1 Ok(Some(\"text\")) Ok(Some([\"no-opinion\"])) Ok(Some([\"x\"])) \
         Err(Error::Invalid(\"the setting \\\"mail\\\" is a list, where a whole number is \
         wanted\")) Ok(None)"
    );
}

#[tokio::test]
async fn the_client_is_in_networks() {
    let settings = r#"{"rcpt": "echo:{client-in 198.51.100.0/24, 203.0.113.0/24} {client-in ::/0} {fact tls.version}"}"#;
    let policy = policy(vec![probe("p", settings)], users()).await;
    let told = refused(&common::rcpt(&policy, "louen@local.test").await);
    assert_eq!(told, "550 5.7.1 Ok(true) Ok(false) None");
    drop(stranger(&policy).await);
}
