//! Whatever a chain of plugins answers, at whatever stage: mail of a stranger for someone else's
//! domain is taken only if a plugin with the grant said `allow-relay` about it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::{policy, probe, users};
use facteur_policy::{Decision, Grants, Isolation, Limits, PluginConfig};
use facteur_smtp::{MailParameters, RcptParameters};
use proptest::prelude::*;
use std::time::Duration;

/// Of class other.
const ELSEWHERE: &str = "x@elsewhere.test";

/// All that the probe can answer at a stage, do there, or break.
const WORDS: [&str; 30] = [
    "no-opinion",
    "accept",
    "allow-relay",
    "allow-relay",
    "discard",
    "reject",
    "defer",
    "defer-if-permit",
    "defer-if-reject",
    "disconnect",
    "fail",
    "reject-unlisted",
    "remember",
    "bad-code",
    "bad-class",
    "bad-drop",
    "crlf",
    "megabytes",
    "session-tag:x",
    "hold",
    "redirect:louen@local.test",
    "bcc:y@elsewhere.test",
    "header:X-A: b",
    "tag:x",
    "header-crlf",
    "bad-address",
    "flood-tags",
    "trap",
    "recurse",
    "keep",
];

/// What it says that the address stands for.
const TARGETS: [&str; 9] = [
    "no-opinion",
    "exists",
    "unknown",
    "fail",
    "trap",
    "louen@local.test",
    "z@elsewhere.test",
    "x@relay.test",
    "no-targets",
];

/// Where it says that the address goes.
const ROUTES: [&str; 6] =
    ["smtp:[next.test]", "maildir:", "discard:", "error:550 5.1.2 no", "fail", "trap"];

#[derive(Debug, Clone)]
struct Member {
    /// The words of connect, helo, mail and rcpt.
    stages: [Vec<&'static str>; 4],
    alias: Option<&'static str>,
    route: Option<&'static str>,
    relay: bool,
    early: bool,
    shared: bool,
}

impl Member {
    fn config(&self, number: usize) -> PluginConfig {
        let [connect, helo, mail, rcpt] = &self.stages;
        let mut settings =
            serde_json::json!({ "connect": connect, "helo": helo, "mail": mail, "rcpt": rcpt });
        if let Some(alias) = self.alias {
            settings["alias"] = serde_json::json!({ (ELSEWHERE): alias });
        }
        if let Some(route) = self.route {
            settings["transport"] = serde_json::json!({ "elsewhere.test": route });
        }
        let base = probe(&format!("p{number}"), &settings.to_string());
        PluginConfig {
            grants: Grants { relay: self.relay, ..Grants::default() },
            early: self.early,
            isolation: if self.shared { Isolation::Shared } else { Isolation::Transaction },
            limits: Limits { cpu: Duration::from_millis(50), ..base.limits },
            ..base
        }
    }

    /// Whether it may have said, with the grant, that this may be relayed.
    fn may_have_allowed(&self) -> bool {
        self.relay && self.stages[3].contains(&"allow-relay")
    }
}

fn member() -> impl Strategy<Value = Member> {
    let words = || proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..4);
    (
        [words(), words(), words(), words()],
        proptest::option::of(proptest::sample::select(&TARGETS[..])),
        proptest::option::of(proptest::sample::select(&ROUTES[..])),
        any::<[bool; 3]>(),
    )
        .prop_map(|(stages, alias, route, [relay, early, shared])| Member {
            stages,
            alias,
            route,
            relay,
            early,
            shared,
        })
}

/// A session of a stranger with one recipient elsewhere, twice: whether the recipient was taken, to
/// be sent on.
async fn relays(chain: &[Member]) -> bool {
    let plugins = chain.iter().enumerate().map(|(number, member)| member.config(number)).collect();
    let policy = policy(plugins, users()).await;
    let mut relayed = false;
    for _ in 0..2 {
        let client = "203.0.113.25:1025".parse().unwrap();
        let facts =
            facteur_policy::SessionFacts::new("s1".into(), "127.0.0.1:25".into(), client, false);
        let session = policy.session(&policy.chain(None), std::sync::Arc::new(facts));
        // The client doesn't mind what it hears, and goes on.
        session.connect().await;
        session.hello("client.test", true).await;
        let mut transaction =
            session.begin(Some("sender@example.org".parse().unwrap()), MailParameters::default());
        if transaction.rcpt(ELSEWHERE.parse().unwrap(), RcptParameters::default()).await
            == Decision::Accept
        {
            transaction.data().await;
            // Discarded mail goes nowhere.
            relayed |= !transaction.finish().await.discard;
        }
    }
    relayed
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stranger_is_relayed_only_by_a_plugin_with_the_grant(chain in proptest::collection::vec(member(), 0..5)) {
        if block_on(relays(&chain)) {
            prop_assert!(chain.iter().any(Member::may_have_allowed), "relayed by {chain:?}");
        }
    }
}

/// The control: the grant and the verdict together do relay, so that the property above has
/// something to say.
#[tokio::test]
async fn the_grant_and_the_verdict_relay() {
    let none = || Vec::<&'static str>::new();
    let allowing = |relay| Member {
        stages: [none(), none(), none(), vec!["allow-relay"]],
        alias: None,
        route: None,
        relay,
        early: false,
        shared: false,
    };
    assert!(relays(&[allowing(true)]).await);
    assert!(!relays(&[allowing(false)]).await);
}
