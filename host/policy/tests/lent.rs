//! What a guest is lent by name: to whom it is granted, what everyone else hears, and what comes
//! back.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Memory, policy, probe, refused, transaction, try_policy, users};
use facteur_policy::{Grants, Message, PluginConfig};
use facteur_smtp::RcptParameters;

/// A probe that is asked at the end of the data, with these grants.
fn asking(question: &str, grants: Grants) -> PluginConfig {
    PluginConfig { grants, ..probe("asking", &format!(r#"{{"end-of-data": "lent:{question}"}}"#)) }
}

/// What it is told about a message.
async fn told(question: &str, grants: Grants, services: Memory) -> String {
    let policy = policy(vec![asking(question, grants)], services).await;
    let mut transaction = transaction(&policy).await;
    transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
    let message = Message::new(Arc::new(b"Subject: x\r\n\r\nEVIL\r\n".to_vec()));
    let reply = refused(&transaction.end_of_data(message).await);
    reply.strip_prefix("550 5.7.1 ").unwrap_or(&reply).to_owned()
}

/// Why a probe that checks this in its `init` isn't loaded; empty if it is.
async fn not_loaded(what: &str, grants: Grants, services: Memory) -> String {
    let plugin =
        PluginConfig { grants, ..probe("checking", &format!(r#"{{"init": "check:{what}"}}"#)) };
    try_policy(vec![plugin], services)
        .await
        .err()
        .map_or(String::new(), |errors| errors[0].to_string())
}

fn scanners() -> Memory {
    let named = |name: &str, virus: &str| (name.to_owned(), virus.to_owned());
    let scanners = [
        named("av", "EVIL"),
        named("other", "GOOD"),
        named("dead", "down"),
        named("tiny", "small"),
    ];
    Memory { scanners: scanners.into(), ..users() }
}

#[tokio::test]
async fn a_scanner_answers_whom_it_is_granted() {
    let granted = || Grants {
        scanner: vec!["av".into(), "other".into(), "dead".into(), "tiny".into()],
        ..Grants::default()
    };
    assert_eq!(told("scan av", granted(), scanners()).await, "Ok(Outcome::Infected(\"Test\"))");
    assert_eq!(told("scan other", granted(), scanners()).await, "Ok(Outcome::Clean)");
    assert_eq!(
        told("scan dead", granted(), scanners()).await,
        "Err(Error::Unavailable(\"nobody is there\"))"
    );
    assert_eq!(told("scan tiny", granted(), scanners()).await, "Err(Error::TooLarge)");
}

#[tokio::test]
async fn a_scanner_that_isnt_granted_or_isnt_there_is_told() {
    let granted = || Grants { scanner: vec!["av".into(), "gone".into()], ..Grants::default() };
    let answer = told("scan other", granted(), scanners()).await;
    assert!(
        answer.contains("NotGranted") && answer.contains("asking") && answer.contains("av"),
        "{answer}"
    );
    assert_eq!(
        told("scan gone", granted(), scanners()).await,
        "Err(Error::UnknownName(\"[scanners.gone]\"))"
    );
    assert_eq!(not_loaded("scanner av", granted(), scanners()).await, "");
    assert_eq!(
        not_loaded("scanner other", granted(), scanners()).await,
        "plugin \"checking\": scanner \"other\": not granted: under [plugin.grants] of the \
         plugin \"checking\" add: \
         scanner = [\"av\", \"gone\", \"other\"]"
    );
    assert_eq!(
        not_loaded("scanner gone", granted(), scanners()).await,
        "plugin \"checking\": scanner \"gone\": there is nothing of this name; add \
         [scanners.gone]"
    );
}

fn counters() -> Memory {
    Memory {
        counters: [("mine".to_owned(), Mutex::default()), ("theirs".to_owned(), Mutex::default())]
            .into(),
        ..users()
    }
}

/// What a plugin that may use `mine`, and `gone`, which isn't there, hears.
async fn counted(question: &str) -> String {
    told(
        question,
        Grants { counters: vec!["mine".into(), "gone".into()], ..Grants::default() },
        counters(),
    )
    .await
}

#[tokio::test]
async fn a_store_of_counters_is_for_whom_it_is_granted() {
    assert_eq!(counted("get mine a").await, "Ok(None)");
    assert_eq!(counted("add mine a 3 1000").await, "Ok(3)");
    assert_eq!(counted("take mine a 1 1000").await, "Ok(Taken::Yes)");
    assert_eq!(counted("take mine a 0 1000").await, "Ok(Taken::Wait(1000))");
    assert_eq!(counted("remove mine a").await, "Ok(false)");
    for question in
        ["get theirs a", "add theirs a 1 1000", "take theirs a 1 1000", "remove theirs a"]
    {
        let answer = counted(question).await;
        assert!(
            answer.starts_with("Err(Error::NotGranted(") && answer.contains("theirs"),
            "{answer}"
        );
    }
    assert_eq!(counted("get gone a").await, "Err(Error::UnknownName(\"[counters.gone]\"))");
    // What is kept for longer than anybody may be told of is none.
    assert_eq!(
        counted("add mine a 1 34560000001").await,
        "Err(Error::Invalid(\"a counter for longer than 400 days\"))"
    );
    assert!(
        not_loaded("counters theirs", Grants::default(), counters())
            .await
            .ends_with("add: counters = [\"theirs\"]")
    );
}

#[tokio::test]
async fn plugins_with_the_same_store_share_it_and_others_dont() {
    let plugin = |name: &str, store: &str, word: &str| PluginConfig {
        grants: Grants { counters: vec![store.into()], ..Grants::default() },
        ..probe(name, &format!(r#"{{"{word}": "lent:add {store} a 1 1000"}}"#))
    };
    let services = counters();
    let policy = policy(
        vec![
            plugin("one", "mine", "rcpt"),
            plugin("other", "theirs", "data"),
            plugin("third", "mine", "end-of-data"),
        ],
        services,
    )
    .await;
    for round in 0..3 {
        let mut transaction = transaction(&policy).await;
        let to = "louen@local.test".parse().unwrap();
        assert_eq!(
            refused(&transaction.rcpt(to, RcptParameters::default()).await),
            format!("550 5.7.1 Ok({})", 2 * round + 1)
        );
        assert_eq!(refused(&transaction.data().await), format!("550 5.7.1 Ok({})", round + 1));
        let message = Message::new(Arc::new(b"x".to_vec()));
        assert_eq!(
            refused(&transaction.end_of_data(message).await),
            format!("550 5.7.1 Ok({})", 2 * round + 2)
        );
    }
}

/// What a plugin with the grant hears about an address. Another plugin has aliases and routes.
async fn verified(address: &str) -> String {
    let map = probe(
        "map",
        r#"{"alias": {"alias@relay.test": "louen@local.test", "broken@relay.test": "fail"},
            "transport": {"hop.test": "smtp:[next.test]", "dead.test": "error:550 5.1.2 no such place"}}"#,
    );
    let asking = asking(&format!("verify {address}"), Grants { verify: true, ..Grants::default() });
    let policy = policy(vec![asking, map], users()).await;
    let mut transaction = transaction(&policy).await;
    transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
    let reply = refused(&transaction.end_of_data(Message::new(Arc::new(b"x".to_vec()))).await);
    reply.strip_prefix("550 5.7.1 ").unwrap_or(&reply).to_owned()
}

#[tokio::test]
async fn an_address_is_verified_where_it_goes() {
    // Here.
    assert_eq!(verified("louen@local.test").await, "Ok(Outcome::Deliverable)");
    assert!(
        verified("nobody@local.test")
            .await
            .starts_with("Ok(Outcome::Undeliverable(Reply { code: 550")
    );
    assert!(verified("broken@local.test").await.starts_with("Ok(Outcome::Unknown("));
    assert_eq!(verified("alias@relay.test").await, "Ok(Outcome::Deliverable)");
    assert!(verified("broken@relay.test").await.starts_with("Ok(Outcome::Unknown("));
    // Elsewhere.
    assert_eq!(verified("yes@elsewhere.test").await, "Ok(Outcome::Deliverable)");
    let no = verified("no@hop.test").await;
    assert!(no.contains("code: 550") && no.contains("next.test doesn't know"), "{no}");
    assert!(verified("yes@dead.test").await.contains("no such place"));
    let unknown = verified("what@relay.test").await;
    assert!(
        unknown.starts_with("Ok(Outcome::Unknown(\"relay.test is away??xxx") && unknown.len() < 450,
        "{unknown}"
    );
    assert!(verified(r"no\tplace@x").await.starts_with("Err(Error::Invalid("));
}

#[tokio::test]
async fn verifying_needs_the_grant() {
    assert!(
        told("verify yes@elsewhere.test", Grants::default(), users())
            .await
            .starts_with("Err(Error::NotGranted(")
    );
    assert_eq!(
        not_loaded("verify x", Grants { verify: true, ..Grants::default() }, users()).await,
        ""
    );
    assert!(
        not_loaded("verify x", Grants::default(), users()).await.ends_with("add: verify = true")
    );
}

fn folders() -> Memory {
    let folder = |content: &[u8]| Mutex::new([("a".to_owned(), content.to_vec())].into());
    let folders =
        [("lists".to_owned(), folder(b"hello")), ("seen".to_owned(), folder(&vec![b'x'; 100_000]))];
    Memory { folders: folders.into(), ..users() }
}

async fn filed(question: &str) -> String {
    let grants = Grants {
        files: vec!["lists".into()],
        files_write: vec!["seen".into(), "gone".into()],
        ..Grants::default()
    };
    told(question, grants, folders()).await
}

#[tokio::test]
async fn a_folder_is_read_only_unless_granted_otherwise() {
    assert_eq!(filed("read lists a 1 2").await, "Ok((2, \"el\"))");
    assert_eq!(filed("read lists b 0 2").await, "Err(Error::NotFound)");
    let line = "files-write = [\\\"seen\\\", \\\"gone\\\", \\\"lists\\\"]";
    for question in ["write lists a x", "unlink lists a"] {
        let answer = filed(question).await;
        assert!(answer.starts_with("Err(Error::NotGranted(") && answer.contains(line), "{answer}");
    }
    assert_eq!(filed("write seen b x").await, "Ok(())");
    assert_eq!(filed("unlink seen a").await, "Ok(())");
    // At most 64 KiB come at once, whatever is asked for.
    assert!(filed("read seen a 0 99999").await.starts_with("Ok((65536, "));
    for question in ["read others a 0 1", "info others a", "list others "] {
        assert!(filed(question).await.starts_with("Err(Error::NotGranted("), "{question}");
    }
    assert_eq!(filed("read gone a 0 1").await, "Err(Error::UnknownName(\"[folders.gone]\"))");
    let granted = || Grants { files: vec!["lists".into()], ..Grants::default() };
    assert_eq!(not_loaded("files lists", granted(), folders()).await, "");
    assert!(
        not_loaded("files-write lists", granted(), folders())
            .await
            .ends_with("add: files-write = [\"lists\"]")
    );
}

#[tokio::test]
async fn a_service_talks_to_whom_it_is_granted() {
    let services = || Memory {
        services: [("echo".into(), "yes".into()), ("other".into(), "no".into())].into(),
        ..users()
    };
    let granted = || Grants { connect: vec!["echo".into(), "gone".into()], ..Grants::default() };
    assert_eq!(told("talk echo hello", granted(), services()).await, "Ok(\"yes\")");
    assert_eq!(told("steps echo 16", granted(), services()).await, "Ok(16)");
    assert!(
        told("talk other hello", granted(), services()).await.starts_with("Err(Error::NotGranted(")
    );
    assert_eq!(
        told("talk gone hello", granted(), services()).await,
        "Err(Error::UnknownName(\"[services.gone]\"))"
    );
    for question in ["steps echo 0", "steps echo 17", "endless echo"] {
        let answer = told(question, granted(), services()).await;
        assert!(answer.starts_with("Err(Error::Invalid("), "{question}: {answer}");
    }
    assert!(
        not_loaded("connect other", granted(), services())
            .await
            .ends_with("connect = [\"echo\", \"gone\", \"other\"]")
    );
}

#[tokio::test]
async fn a_flood_of_what_is_lent_is_contained() {
    for word in ["flood-counters", "flood-files"] {
        let grants = Grants {
            counters: vec!["mine".into()],
            files_write: vec!["seen".into()],
            ..Grants::default()
        };
        let plugin = PluginConfig { grants, ..probe("flood", &format!(r#"{{"rcpt": "{word}"}}"#)) };
        let services =
            Memory { counters: counters().counters, folders: folders().folders, ..users() };
        let policy = policy(vec![plugin], services).await;
        for _ in 0..2 {
            let answer = refused(&common::rcpt(&policy, "louen@local.test").await);
            assert_eq!(answer, "451 4.3.5 Policy error, try again later");
        }
    }
}
