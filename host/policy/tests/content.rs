//! The hook `content`: verdicts in a chain, edits of the message and of the envelope, and what a
//! plugin that fails leaves behind.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{Memory, policy, probe, refused, try_policy, users};
use facteur_policy::{
    Decision, Grants, Limits, Message, OnError, Outgoing, PluginConfig, Transaction,
};
use facteur_smtp::RcptParameters;

const LETTER: &str =
    "Received: one\r\nFrom: a\r\nreceived: two\r\n\tfolded\r\nSubject: x\r\n\r\nHello x\r\n";

/// A chain of probes, each with words for `content`.
fn chain(words: &[&str]) -> Vec<PluginConfig> {
    let one = |(number, words): (usize, &&str)| {
        probe(&format!("p{number}"), &format!(r#"{{"content": {words}}}"#))
    };
    words.iter().enumerate().map(one).collect()
}

/// What a letter to these comes to.
async fn send(plugins: Vec<PluginConfig>, memory: Memory, to: &[&str]) -> (Decision, Transaction) {
    let policy = policy(plugins, memory).await;
    let mut transaction = common::transaction(&policy).await;
    for to in to {
        assert_eq!(
            transaction.rcpt(to.parse().unwrap(), RcptParameters::default()).await,
            Decision::Accept
        );
    }
    assert_eq!(transaction.data().await, Decision::Accept);
    let decision =
        transaction.end_of_data(Message::new(Arc::new(LETTER.as_bytes().to_vec()))).await;
    (decision, transaction)
}

async fn decided(words: &[&str]) -> Decision {
    send(chain(words), users(), &["louen@local.test"]).await.0
}

/// The same where it must be accepted.
async fn outgoing(plugins: Vec<PluginConfig>, memory: Memory, to: &[&str]) -> Outgoing {
    let (decision, transaction) = send(plugins, memory, to).await;
    assert_eq!(decision, Decision::Accept);
    transaction.finish().await
}

/// The message after these.
async fn edited(words: &[&str]) -> String {
    let outgoing = outgoing(chain(words), users(), &["louen@local.test"]).await;
    let edited = outgoing.edited.map(|edited| edited.content().read(0, usize::MAX).unwrap());
    edited.map_or(LETTER.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
}

fn addresses(outgoing: &Outgoing) -> Vec<String> {
    outgoing.recipients.iter().map(|one| one.address.to_string()).collect()
}

#[tokio::test]
async fn no_plugin_spares_a_message_those_after_it() {
    assert_eq!(decided(&[r#""no-opinion""#, r#""no-opinion""#]).await, Decision::Accept);
    assert_eq!(
        refused(&decided(&[r#""no-opinion""#, r#""reject""#]).await),
        "550 5.7.1 rejected at content"
    );
    assert_eq!(
        refused(&decided(&[r#""defer""#, r#""reject""#]).await),
        "450 4.7.1 deferred at content"
    );
    assert!(
        matches!(decided(&[r#""disconnect""#]).await, Decision::Drop(reply) if reply.code == 521)
    );
}

#[tokio::test]
async fn restrictions_are_asked_before() {
    let plugins = vec![
        probe("content", r#"{"content": ["add-header:X-Seen: yes", "reject"]}"#),
        probe("restriction", r#"{"end-of-data": "defer"}"#),
    ];
    let (decision, _) = send(plugins, users(), &["louen@local.test"]).await;
    assert_eq!(refused(&decision), "450 4.7.1 deferred at end-of-data");
}

#[tokio::test]
async fn a_discarded_message_goes_nowhere() {
    let outgoing =
        outgoing(chain(&[r#""discard""#, r#""reject""#]), users(), &["louen@local.test"]).await;
    assert!(outgoing.discard && outgoing.recipients.is_empty());
}

#[tokio::test]
async fn headers_are_edited_and_the_rest_keeps_its_bytes() {
    for (words, from, to) in [
        (r#""add-header:X-New: a b""#, "Subject: x\r\n", "Subject: x\r\nX-New: a b\r\n"),
        (r#""insert-header:X-New: top""#, "Received: one", "X-New: top\r\nReceived: one"),
        (r#""insert-header:2 X-New: c""#, "received: two", "X-New: c\r\nreceived: two"),
        (r#""replace-header:SUBJECT: y""#, "Subject: x", "SUBJECT: y"),
        (r#""replace-header:1 Received: y""#, "received: two\r\n\tfolded", "Received: y"),
        (r#""remove-header:1 Received""#, "received: two\r\n\tfolded\r\n", ""),
        (r#""body:a\nb""#, "Hello x\r\n", "a\r\nb\r\n"),
        (r#""map-body""#, "Hello x\r\n", "Hello y\r\n"),
        (r#""no-opinion""#, "", ""),
    ] {
        assert!(LETTER.contains(from));
        assert_eq!(edited(&[words]).await, LETTER.replacen(from, to, 1), "{words}");
    }
    assert_eq!(
        edited(&[r#""remove-headers:received""#]).await,
        "From: a\r\nSubject: x\r\n\r\nHello x\r\n"
    );
}

#[tokio::test]
async fn each_plugin_sees_what_those_before_it_made() {
    let rename = r#"["replace-header:Subject: spam", "body:short", "set-sender:other@local.test", "add-recipient:admin@local.test", "reject-subject:spam"]"#;
    // Its own edits it doesn't see in the message, and sees in the envelope.
    assert_eq!(decided(&[rename]).await, Decision::Accept);
    let echo = r#""echo:{sender} {recipients} {body} {size}""#;
    assert_eq!(
        refused(&decided(&[rename, echo]).await),
        "550 5.7.1 <other@local.test> louen@local.test admin@local.test \"short\\r\\n\" 72"
    );
    assert_eq!(
        refused(&decided(&[rename, r#""reject-subject:spam""#]).await),
        "550 5.7.1 the subject is spam"
    );
    // A scanner gets the message as the plugin sees it.
    let scan = |scanner: &str| {
        let mut plugins = chain(&[r#""body:a virus""#, &format!(r#""lent:scan {scanner}""#)]);
        plugins[1].grants =
            Grants { scanner: vec!["hello".into(), "virus".into()], ..Grants::default() };
        plugins
    };
    let memory = || Memory {
        scanners: [("hello", "Hello"), ("virus", "a virus")]
            .map(|(a, b)| (a.into(), b.into()))
            .into(),
        ..users()
    };
    for (scanner, found) in
        [("hello", "Ok(Outcome::Clean)"), ("virus", "Ok(Outcome::Infected(\"Test\"))")]
    {
        let (decision, _) = send(scan(scanner), memory(), &["louen@local.test"]).await;
        assert_eq!(refused(&decision), format!("550 5.7.1 {found}"));
    }
}

#[tokio::test]
async fn the_envelope_is_edited() {
    let words = r#"["add-recipient:team@local.test", "add-recipient:x@elsewhere.test", "remove-recipient:admin@local.test",
        "add-recipient:louen@local.test", "null-sender", "quarantine:look at it"]"#;
    let aliases = probe(
        "aliases",
        r#"{"alias": {"team@local.test": ["t1@elsewhere.test", "t2@elsewhere.test"]}}"#,
    );
    let plugins = [chain(&[words]), vec![aliases]].concat();
    let outgoing = outgoing(plugins, users(), &["admin@local.test", "louen@local.test"]).await;
    let expected =
        ["louen@local.test", "t1@elsewhere.test", "t2@elsewhere.test", "x@elsewhere.test"];
    assert_eq!(addresses(&outgoing), expected);
    // What the client said at the RCPT still belongs to its recipient.
    let rcpts: Vec<_> = outgoing.recipients.iter().map(|one| one.rcpt).collect();
    assert_eq!(rcpts, [Some(1), None, None, None]);
    assert_eq!(outgoing.sender, Some(None));
    assert_eq!(outgoing.actions.quarantine.as_deref(), Some("look at it"));
    assert_eq!(outgoing.actions.hold, None);
}

#[tokio::test]
async fn without_recipients_nothing_is_left() {
    let words = r#"["remove-recipient:louen@local.test", "bcc:admin@local.test"]"#;
    assert!(outgoing(chain(&[words]), users(), &["louen@local.test"]).await.recipients.is_empty());
    let words = r#"["remove-recipient:louen@local.test", "redirect:admin@local.test"]"#;
    let outgoing = outgoing(chain(&[words]), users(), &["louen@local.test"]).await;
    assert_eq!(addresses(&outgoing), ["admin@local.test"]);
}

/// Edits of all kinds, before the plugin fails.
const ALL: &str = r#""add-header:X-Half: y", "remove-header:Subject", "hold", "quarantine:q", "bcc:admin@local.test",
    "set-sender:other@local.test", "add-recipient:admin@local.test", "remove-recipient:louen@local.test", "tag:half", "map-body""#;

#[tokio::test]
async fn a_plugin_that_fails_leaves_no_half_edits() {
    // Only a plugin that has no other hook may fail so; the probe has all of them, so that what is
    // left behind shows in its reply.
    for end in ["fail", "trap", "bad-code", "half-body"] {
        let words = format!("[{ALL}, \"{end}\"]");
        let (decision, transaction) = send(chain(&[&words]), users(), &["louen@local.test"]).await;
        assert!(refused(&decision).starts_with("451 4.3.5"), "{end}");
        let outgoing = transaction.finish().await;
        assert_eq!(addresses(&outgoing), ["louen@local.test"], "{end}");
        assert_eq!(outgoing.actions, facteur_policy::Actions::default(), "{end}");
        assert!(
            outgoing.sender.is_none() && outgoing.edited.is_none() && outgoing.tags.is_empty(),
            "{end}"
        );
    }
}

#[tokio::test]
async fn what_breaks_the_contract_is_a_trap() {
    for word in [
        "edit-name",
        "flood-edits",
        "flood-recipients",
        "half-body",
        "two-bodies",
        "large-chunk",
        "endless-body",
        "bad-address",
        "loop",
        "memory",
    ] {
        assert!(
            refused(&decided(&[&format!("{word:?}")]).await).starts_with("451 4.3.5"),
            "{word}"
        );
    }
}

#[tokio::test]
async fn nothing_is_edited_elsewhere() {
    for word in [
        "add-header:A: b",
        "insert-header:A: b",
        "replace-header:Subject: b",
        "remove-header:Subject",
        "body:x",
        "quarantine:q",
        "add-recipient:admin@local.test",
        "remove-recipient:louen@local.test",
        "null-sender",
    ] {
        // The sandbox that was asked for content is asked again in no other stage, but the same
        // guest at another one is.
        let settings = format!(r#"{{"end-of-data": "{word}"}}"#);
        let (decision, _) = send(vec![probe("p", &settings)], users(), &["louen@local.test"]).await;
        assert!(refused(&decision).starts_with("451 4.3.5"), "{word}: {decision:?}");
    }
}

#[tokio::test]
async fn to_fail_open_is_for_content_alone() {
    let open = |words: &str| {
        let config = chain(&[words]).remove(0);
        PluginConfig { on_error: OnError::Pass, ..config }
    };
    let errors = try_policy(vec![open(r#""fail""#)], users()).await.err().unwrap();
    assert!(
        errors[0].reason.contains("fail-open is for plugins whose only hook is on-content"),
        "{}",
        errors[0]
    );

    let wasm =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins/clamav.wasm"))
            .unwrap();
    let scanner = |on_error| PluginConfig {
        wasm: wasm.clone().into(),
        grants: Grants { scanner: vec!["av".into()], ..Grants::default() },
        limits: Limits::default(),
        on_error,
        ..probe("clamav", r#"{"scanner": "av"}"#)
    };
    let down = || Memory { scanners: [("av".into(), "down".into())].into(), ..users() };
    for (on_error, code) in [
        (OnError::Defer, Some("451 4.3.5")),
        (OnError::Reject, Some("554 5.3.5")),
        (OnError::Pass, None),
    ] {
        let (decision, _) = send(vec![scanner(on_error)], down(), &["louen@local.test"]).await;
        match code {
            Some(code) => assert!(refused(&decision).starts_with(code), "{decision:?}"),
            None => assert_eq!(decision, Decision::Accept),
        }
    }
}
