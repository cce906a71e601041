//! Facts that are asked by their names, and whether the sender is somebody.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::{policy, probe, refused, stranger, users};
use facteur_smtp::{BodyType, MailParameters, Notify, RcptParameters, Ret};

/// What a plugin echoes at this stage of a transaction with these parameters.
async fn echoed(hook: &str, what: &str, mail: MailParameters, rcpt: RcptParameters) -> String {
    let settings = format!(r#"{{"{hook}": "echo:{what}"}}"#);
    let policy = policy(vec![probe("p", &settings)], users()).await;
    let session = stranger(&policy).await;
    session.facts().set_mechanism("SCRAM-SHA-256".into());
    session.facts().set_unauth_pipelining();
    let mut transaction = session.begin(Some("nobody@local.test".parse().unwrap()), mail);
    let decision = transaction.rcpt("louen@local.test".parse().unwrap(), rcpt).await;
    let refused =
        if hook == "data" { refused(&transaction.data().await) } else { refused(&decision) };
    refused.strip_prefix("550 5.7.1 ").unwrap_or(&refused).to_owned()
}

#[tokio::test]
async fn what_has_no_function_is_asked_by_its_name() {
    let mail = || MailParameters {
        body: BodyType::EightBitMime,
        ret: Some(Ret::Headers),
        envid: Some("a\r\nb".into()),
        ..MailParameters::default()
    };
    let rcpt = || RcptParameters {
        notify: Some(Notify { delay: true, ..Notify::NEVER }),
        orcpt: Some(format!("rfc822;{}", "x".repeat(600))),
    };
    let long = format!("Some(\"rfc822;{}\")", "x".repeat(505));
    let none = "None";
    for (hook, fact, told) in [
        ("rcpt", "auth.mechanism", "Some(\"SCRAM-SHA-256\")"),
        ("data", "auth.mechanism", "Some(\"SCRAM-SHA-256\")"),
        ("rcpt", "smtp.unauth-pipelining", "Some(\"true\")"),
        ("helo", "mail.body", "Some(\"8BITMIME\")"),
        ("mail", "mail.ret", "Some(\"HDRS\")"),
        // A stranger's text has no line ends.
        ("data", "mail.envid", "Some(\"a??b\")"),
        ("rcpt", "rcpt.notify", "Some(\"DELAY\")"),
        ("rcpt", "rcpt.orcpt", &long),
        ("data", "rcpt.notify", none),
        ("rcpt", "tls.version", none),
        ("rcpt", "no.such-fact", none),
        ("rcpt", "", none),
    ] {
        let asked = echoed(hook, &format!("{{fact {fact}}}"), mail(), rcpt()).await;
        let told: String = told.chars().take(asked.len()).collect();
        assert_eq!(asked, told, "{fact}");
    }
    let nothing = async |fact: &str| {
        let what = format!("{{fact {fact}}}");
        echoed("rcpt", &what, MailParameters::default(), RcptParameters::default()).await
    };
    assert_eq!(nothing("mail.body").await, "Some(\"7BIT\")");
    for fact in ["mail.ret", "mail.envid", "rcpt.notify", "rcpt.orcpt"] {
        assert_eq!(nothing(fact).await, none, "{fact}");
    }
}

#[tokio::test]
async fn the_sender_is_somebody_or_not() {
    for (sender, told) in [
        (Some("louen@local.test"), "Ok(true)"),
        (Some("nobody@local.test"), "Ok(false)"),
        (Some("broken@local.test"), "Err(Failure { transient: true"),
        (Some("anybody@elsewhere.test"), "Ok(true)"),
        (None, "Ok(true)"),
    ] {
        let plugin = probe("p", r#"{"mail": "echo:{sender-listed}"}"#);
        let policy = policy(vec![plugin], users()).await;
        let session = stranger(&policy).await;
        let sender = sender.map(|sender| sender.parse().unwrap());
        let mut transaction = session.begin(sender.clone(), MailParameters::default());
        let to = "louen@local.test".parse().unwrap();
        let asked = refused(&transaction.rcpt(to, RcptParameters::default()).await);
        assert!(asked.starts_with(&format!("550 5.7.1 {told}")), "{sender:?}: {asked}");
    }
}
