//! The hooks `authenticate` and `delivery`: who is asked, what counts, and what an answer that
//! isn't one comes to.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{policy, probe, refused, stranger, users};
use facteur_policy::{
    Advice, Attempted, Authenticated, Consignment, Credentials, OnError, PluginConfig, Policy,
    Tags, Trace,
};
use facteur_smtp::{MailParameters, RcptParameters, Reply, status};

fn plain(name: &str, password: &str) -> Credentials {
    let (authorization, authentication, password) =
        (String::new(), name.to_owned(), password.to_owned());
    Credentials::Plain { authorization, authentication, password }
}

/// Two that know logins, the first some that it can't tell or answers wrongly.
fn two() -> Vec<PluginConfig> {
    let first = r#"{"authenticate": {"louen": "password:right", "token": "is:louen", "broken": "fail", "crlf": "crlf",
        "long": "long", "empty": "empty", "huge": "megabytes", "trap": "trap", "loop": "loop"}}"#;
    let second = r#"{"authenticate": {"louen": "password:other", "admin": "password:right", "broken": "is:root",
        "crlf": "is:root", "trap": "is:root"}}"#;
    vec![probe("first", first), probe("second", second)]
}

async fn asked(policy: &Arc<Policy>, credentials: Credentials) -> Authenticated {
    stranger(policy).await.authenticate(credentials).await
}

fn login(name: &str) -> Authenticated {
    Authenticated::Login(name.to_owned())
}

#[tokio::test]
async fn the_first_that_knows_a_login_says_who_it_is() {
    let policy = policy(two(), users()).await;
    assert!(stranger(&policy).await.authenticates());
    assert_eq!(asked(&policy, plain("louen", "right")).await, login("louen"));
    assert_eq!(asked(&policy, plain("louen", "other")).await, login("louen"));
    assert_eq!(asked(&policy, plain("admin", "right")).await, login("admin"));
    let bearer = Credentials::Bearer { authorization: String::new(), token: "token".to_owned() };
    assert_eq!(asked(&policy, bearer).await, login("louen"));
    for (name, password) in [("louen", "wrong"), ("louen", ""), ("nobody", "right"), ("", "")] {
        assert_eq!(
            asked(&policy, plain(name, password)).await,
            Authenticated::Refused,
            "{name} {password}"
        );
    }
    assert_eq!(
        Authenticated::Refused.reply().to_string(),
        "535 5.7.8 Authentication credentials invalid"
    );
}

#[tokio::test]
async fn nobody_is_let_in_by_a_failure() {
    // The second would say yes to some of them.
    for on_error in [OnError::Defer, OnError::Reject] {
        let plugins = two().into_iter().map(|plugin| PluginConfig { on_error, ..plugin }).collect();
        let policy = policy(plugins, users()).await;
        for name in ["broken", "crlf", "long", "empty", "huge", "trap", "loop"] {
            assert_eq!(asked(&policy, plain(name, "x")).await, Authenticated::Later, "{name}");
        }
    }
    assert_eq!(
        Authenticated::Later.reply().to_string(),
        "454 4.7.0 Temporary authentication failure"
    );
    let none = policy(vec![], users()).await;
    assert!(!stranger(&none).await.authenticates());
    assert_eq!(asked(&none, plain("louen", "right")).await, Authenticated::Refused);
}

#[tokio::test]
async fn what_is_too_long_is_asked_of_nobody() {
    let policy = policy(two(), users()).await;
    let session = stranger(&policy).await;
    assert_eq!(
        session.authenticate(plain("louen", &"x".repeat(12_289))).await,
        Authenticated::Refused
    );
    assert!(session.trace().take().is_empty());
}

#[tokio::test]
async fn the_session_knows_its_login_and_gets_no_other() {
    let mut plugins = two();
    plugins.push(probe("telling", r#"{"rcpt": "echo:login {login}"}"#));
    let policy = policy(plugins, users()).await;
    let session = stranger(&policy).await;
    let rcpt = async || {
        let mut transaction = session.begin(None, MailParameters::default());
        refused(
            &transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await,
        )
    };
    assert_eq!(session.authenticate(plain("louen", "wrong")).await, Authenticated::Refused);
    assert_eq!(rcpt().await, "550 5.7.1 login None");
    assert_eq!(session.authenticate(plain("louen", "right")).await, login("louen"));
    assert_eq!(session.facts().login(), Some("louen"));
    assert_eq!(session.authenticate(plain("admin", "right")).await, Authenticated::Refused);
    assert_eq!(rcpt().await, "550 5.7.1 login Some(\"louen\")");
}

#[tokio::test]
async fn what_proves_a_login_is_told_to_nobody() {
    let policy = policy(two(), users()).await;
    let session = stranger(&policy).await;
    for name in ["nobody", "broken", "trap", "louen"] {
        session.authenticate(plain(name, "hunter2")).await;
    }
    let steps = session.trace().take();
    assert!(steps.iter().any(|step| step.question == "authenticate"), "{steps:?}");
    let all = format!("{steps:?} {:?}", plain("louen", "hunter2"));
    assert!(
        !all.contains("hunter2") && !format!("{:?}", plain("louen", "x")).contains("louen"),
        "{all}"
    );
}

/// What is advised about a recipient of whom this was said.
async fn advice(words: &str, to: &str, reply: Reply, planned: Option<u64>) -> (Advice, String) {
    let passed_over = probe("first", r#"{"delivery": {"broken@x.test": "fail"}}"#);
    let policy = policy(
        vec![passed_over, probe("second", &format!(r#"{{"delivery": {{{words}}}}}"#))],
        users(),
    )
    .await;
    assert!(policy.advises());
    let (to, sender) = (to.parse().unwrap(), "sender@y.test".parse().unwrap());
    let tags = Tags::default();
    let of = Consignment {
        sender: Some(&sender),
        tags: &tags,
        utf8: false,
        address: &to,
        original: &to,
    };
    let attempted =
        Attempted { number: 3, host: Some("mx.x.test"), reply: &reply, next_try: planned };
    let trace = Arc::<Trace>::default();
    let advice = policy.advice(of, attempted, &trace).await;
    let told = trace.take().into_iter().map(|step| step.answer).collect::<Vec<_>>().join(" · ");
    (advice, told)
}

fn later() -> Reply {
    Reply::new(450, status::MAILBOX, "later")
}

#[tokio::test]
async fn the_first_advice_counts() {
    let of = async |word: &str| {
        advice(&format!(r#""*": "{word}""#), "a@x.test", later(), Some(1)).await.0
    };
    assert_eq!(of("as-planned").await, Advice::AsPlanned);
    assert_eq!(of("retry-after:1500").await, Advice::RetryAfter(Duration::from_millis(1_500)));
    assert_eq!(of("fail").await, Advice::Fail);
    assert_eq!(of("no-notification").await, Advice::NoNotification);
    // A bare name has the origin, as everywhere; the plugin knows what happened.
    assert_eq!(of("redirect:other").await, Advice::Redirect("other@origin.test".parse().unwrap()));
    let to = "3.450.mx.x.test.again@z.test".parse().unwrap();
    assert_eq!(of("redirect:{number}.{code}.{host}.{planned}@z.test").await, Advice::Redirect(to));
    let failed = Reply::new(550, status::BAD_MAILBOX, "no");
    let (told, _) =
        advice(r#""*": "redirect:{code}.{planned}@z.test""#, "a@x.test", failed, None).await;
    assert_eq!(told, Advice::Redirect("550.never@z.test".parse().unwrap()));
    let (first, _) = advice(r#""*": "no-notification""#, "broken@x.test", later(), Some(1)).await;
    assert_eq!(first, Advice::Fail);
}

#[tokio::test]
async fn who_gives_no_answer_is_passed_over() {
    for word in ["failure", "bad-address", "hold", "trap", "loop", "memory"] {
        let (advice, told) =
            advice(&format!(r#""*": "{word}""#), "a@x.test", later(), Some(1)).await;
        assert_eq!(advice, Advice::AsPlanned, "{word}");
        assert!(told.contains(':'), "{word}: {told}");
    }
}

#[tokio::test]
async fn what_was_delivered_stays_so() {
    for (word, expected) in [
        ("as-planned", Advice::AsPlanned),
        ("no-notification", Advice::NoNotification),
        ("retry-after:1000", Advice::AsPlanned),
        ("fail", Advice::AsPlanned),
        ("redirect:b@x.test", Advice::AsPlanned),
    ] {
        let delivered = Reply::new(250, status::UNDEFINED, "Ok");
        assert_eq!(
            advice(&format!(r#""*": "{word}""#), "a@x.test", delivered, None).await.0,
            expected,
            "{word}"
        );
    }
}

#[tokio::test]
async fn without_such_a_plugin_nobody_is_asked() {
    assert!(!policy(vec![], users()).await.advises());
}
