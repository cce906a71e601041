#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;
use std::collections::HashMap;
use std::sync::Arc;
use common::{Memory, policy, probe, rcpt, refused, transaction, try_policy, users};
use facteur_policy::{Grants, PluginConfig, Decision, SessionFacts, Route, Tags};

fn builtin(name: &str, settings: &str) -> PluginConfig {
    let path = format!("{}/../../target/plugins/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    PluginConfig {
        wasm: std::fs::read(path).unwrap().into(),
        grants: Grants { relay: true, dns: true, lookup: vec!["aliases".into(), "virtual".into(), "transport".into(), "access".into()], include: vec!["/lists".into()], ..Grants::default() },
        ..probe(name, settings)
    }
}
fn table(of: &[(&str, &str)]) -> HashMap<String, String> { of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect() }
fn memory() -> Memory {
    Memory {
        tables: HashMap::from([
            ("aliases".into(), table(&[("root", "louen, x@elsewhere.test"), ("list", ":include:/lists/l"), ("owner-list", "louen"), ("pipe", "\"|/bin/x\"")])),
            ("virtual".into(), table(&[("@alias.test", "root@local.test")])),
            ("transport".into(), table(&[("relay.test", "smtp:[next.test]:26"), ("elsewhere.test", "error:5.1.2 gone")])),
            ("access".into(), table(&[("example.org", "PREPEND X-Seen: yes")])),
        ]),
        lists: HashMap::from([("/lists/l".into(), vec!["admin@local.test".into()])]),
        ..users()
    }
}
fn all() -> Vec<PluginConfig> {
    vec![
        builtin("restrictions", r#"{"helo": ["reject_invalid_helo_hostname"], "sender": ["check_sender_access table:access"], "relay": ["permit_mynetworks", "reject_unauth_destination"], "recipient": ["reject_unlisted_recipient"]}"#),
        builtin("aliases", r#"{"aliases": ["aliases"], "virtual": ["virtual"], "delimiter": "+"}"#),
        builtin("transport-map", r#"{"tables": ["transport"], "relayhost": "[relay.host]:587"}"#),
    ]
}
#[tokio::test]
async fn together() {
    let policy = policy(all(), memory()).await;
    assert_eq!(refused(&rcpt(&policy, "x@other.test").await), "554 5.7.1 <x@other.test>: Relay access denied");
    assert_eq!(refused(&rcpt(&policy, "nobody@local.test").await), "550 5.1.1 <nobody@local.test>: Recipient address rejected: User unknown in local recipient table");
    for to in ["louen@local.test", "Root@local.test", "root+x@local.test", "any@alias.test", "list@local.test"] {
        let mut t = transaction(&policy).await;
        assert_eq!(t.rcpt(to.parse().unwrap(), false).await, Decision::Accept, "{to}");
        let out = t.finish().await;
        println!("{to}: {:?} {:?}", out.recipients.iter().map(|r| (r.address.to_string(), r.sender.as_ref().map(ToString::to_string), r.refusal.as_ref().map(ToString::to_string))).collect::<Vec<_>>(), out.actions.headers);
    }
    println!("{}", refused(&rcpt(&policy, "pipe@local.test").await));
    let facts = SessionFacts::new("s".into(), "l".into(), "127.0.0.1:1".parse().unwrap(), true);
    let session = policy.session(policy.chain(None), Arc::new(facts));
    session.hello("x", true).await;
    let mut t = session.begin(None, None, false);
    assert_eq!(t.rcpt("x@other.test".parse().unwrap(), false).await, Decision::Accept);
    let to = "x@relay.test".parse().unwrap();
    println!("{:?}", policy.next_hop(None, &Tags::default(), false, &to, &to).await);
    let to = "x@other.test".parse().unwrap();
    println!("{:?}", policy.next_hop(None, &Tags::default(), false, &to, &to).await);
    let to = "x@elsewhere.test".parse().unwrap();
    assert!(matches!(policy.next_hop(None, &Tags::default(), false, &to, &to).await, Ok(Route::Error(_))));
    let start = std::time::Instant::now();
    for _ in 0..2000 { rcpt(&policy, "louen@local.test").await; }
    println!("one RCPT with all plugins: {:?}", start.elapsed() / 2000);
}
#[tokio::test]
async fn wrong_settings() {
    for (name, settings) in [("restrictions", r#"{"helo": ["reject_rbl_client x"]}"#), ("restrictions", r#"{"client": ["check_client_access table:nope"]}"#), ("restrictions", r#"{"recipient": ["permit_mynetwork"]}"#), ("aliases", r#"{"aliases": "x"}"#), ("aliases", r#"{"aliases": ["nope"]}"#), ("transport-map", r#"{"relayhost": "[x"}"#)] {
        println!("{:?}", try_policy(vec![builtin(name, settings)], memory()).await.err().map(|e| e[0].to_string()));
    }
    let mut p = builtin("restrictions", r#"{"sender": ["reject_unknown_sender_domain"]}"#); p.grants.dns = false;
    println!("{:?}", try_policy(vec![p], memory()).await.err().map(|e| e[0].to_string()));
}
