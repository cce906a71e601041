//! What strangers write never makes a plugin trap: it is cut, cleaned, encoded, or comes back as an
//! error.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{policy, probe, rcpt, refused, stranger, users};
use facteur_policy::{Decision, Message, Outgoing, header_line};
use facteur_smtp::{MailParameters, RcptParameters};

/// What a client hears that said this at HELO, of a plugin that echoes it.
async fn echoed(helo: &str) -> String {
    let policy = policy(vec![probe("echo", r#"{"rcpt": "echo:{helo}"}"#)], users()).await;
    let session = stranger(&policy).await;
    session.hello(helo, false).await;
    let mut transaction = session.begin(None, MailParameters::default());
    let decision =
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
    match decision {
        Decision::Refuse(reply) => format!("{} {}", reply.code, reply.text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_long_helo_is_cut_in_a_reply() {
    assert_eq!(echoed(&"x".repeat(600)).await, format!("550 {}", "x".repeat(512)));
    assert_eq!(echoed(&"é".repeat(600)).await, format!("550 {}", "é".repeat(256)));
    assert_eq!(echoed("a\0b\u{9b}c").await, "550 a?b?c");
}

#[tokio::test]
async fn no_line_break_begins_another_reply() {
    let asked = async |word: &str| {
        let settings = format!(r#"{{"rcpt": "{word}"}}"#);
        rcpt(&policy(vec![probe("p", &settings)], users()).await, "louen@local.test").await
    };
    // A line of the text is a line of the same reply, which has the code before each.
    let text = |decision: Decision| match decision {
        Decision::Refuse(reply) => reply.text,
        other => panic!("{other:?}"),
    };
    assert_eq!(text(asked("crlf").await), "no\n250 2.0.0 Ok: queued as FORGED");
    assert_eq!(text(asked("lines").await), "one\ntwo");
    assert_eq!(text(asked("kilobytes").await), "x".repeat(512));
}

/// What a message with these headers becomes, whose Subject a plugin copies.
async fn copied(headers: &str, utf8: bool) -> Outgoing {
    let words = r#"{"end-of-data": "header:X-Copy: {subject}", "content": "no-opinion"}"#;
    let policy = policy(vec![probe("copy", words)], users()).await;
    let mut transaction = stranger(&policy)
        .await
        .begin(None, MailParameters { smtputf8: utf8, ..MailParameters::default() });
    let to = "louen@local.test".parse().unwrap();
    assert_eq!(transaction.rcpt(to, RcptParameters::default()).await, Decision::Accept);
    let text = format!("{headers}\r\n\r\nbody\r\n").into_bytes();
    let decision = transaction.end_of_data(Message::new(Arc::new(text))).await;
    assert_eq!(decision, Decision::Accept, "{headers}");
    transaction.finish().await
}

#[tokio::test]
async fn any_subject_can_be_copied_into_a_header() {
    for (subject, utf8, value) in [
        ("Subject: a\r\n folded\r\n\tone", false, "a folded one"),
        ("Subject: caf\u{e9} noir", false, "=?UTF-8?B?Y2Fmw6k=?= noir"),
        ("Subject: caf\u{e9} noir", true, "caf\u{e9} noir"),
        ("Subject: =?iso-8859-1?q?caf=E9_noir?=", true, "caf\u{e9} noir"),
        ("Subject: =?utf-8?q?x=0D=0ABcc:_evil@x.test?=", false, "x Bcc: evil@x.test"),
        ("Subject: a\0b", false, "a?b"),
        ("Subject:", false, ""),
    ] {
        let outgoing = copied(subject, utf8).await;
        assert_eq!(outgoing.actions.headers, [("X-Copy".into(), value.to_owned())], "{subject}");
    }
    for long in ["word ".repeat(4_000), "word\r\n ".repeat(2_000), "x".repeat(30_000)] {
        let outgoing = copied(&format!("Subject: {long}"), false).await;
        let (name, value) = &outgoing.actions.headers[0];
        let line = String::from_utf8(header_line(name, value)).unwrap();
        assert!(line.lines().all(|line| line.len() <= 998), "{line}");
        assert!(line.lines().skip(1).all(|line| line.starts_with(' ')), "{line}");
    }
}

#[tokio::test]
async fn headers_are_read_as_text_and_as_they_came() {
    let echo = |what: &str| {
        let settings = format!(r#"{{"end-of-data": "echo:{{{what}}}"}}"#);
        async move {
            let policy = policy(vec![probe("echo", &settings)], users()).await;
            let mut transaction = common::transaction(&policy).await;
            transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
            let text = "X: =?utf-8?b?w6k=?=\r\n =?utf-8?b?w6k=?= a\r\nx: b\r\n\r\n";
            let message = Message::new(Arc::new(text.as_bytes().to_vec()));
            refused(&transaction.end_of_data(message).await)
        }
    };
    assert_eq!(echo("header-text x").await, r#"550 5.7.1 ["éé a", "b"]"#);
    assert_eq!(
        echo("header x").await,
        r#"550 5.7.1 ["=?utf-8?b?w6k=?=\r\n =?utf-8?b?w6k=?= a", "b"]"#
    );
}

#[tokio::test]
async fn what_is_no_address_or_too_many_comes_back_as_an_error() {
    // The probe makes a failure of it, whose reason the trace tells: none is a trap.
    for (word, why) in [
        ("bad-address", "an address that isn't one"),
        ("bad-key", "a key of 0 bytes"),
        ("flood-tags", "64 notes"),
        ("flood-bcc", "16 copies"),
        ("flood-headers", "32 headers"),
    ] {
        let settings = format!(r#"{{"rcpt": "{word}"}}"#);
        let policy = policy(vec![probe("p", &settings)], users()).await;
        let mut transaction = common::transaction(&policy).await;
        let decision =
            transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
        assert_eq!(refused(&decision), "451 4.3.5 Policy error, try again later", "{word}");
        let steps = transaction.trace().take();
        let answer = &steps.iter().find(|step| step.plugin.is_some()).unwrap().answer;
        assert!(answer.starts_with("failure: ") && answer.contains(why), "{word}: {answer}");
    }
}
