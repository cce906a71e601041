//! What is refused when a plugin is loaded, and in which words.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::component::{renamed, with_tables};
use common::{SANDBOXES, policy, probe, probe_wasm, refused, transaction, try_policy, users};
use facteur_policy::PluginConfig;
use facteur_smtp::RcptParameters;

/// Why this component isn't loaded.
async fn refusal(wasm: Vec<u8>) -> String {
    let plugin = PluginConfig { wasm: wasm.into(), ..probe("mine", "{}") };
    match try_policy(vec![plugin], users()).await {
        Ok(_) => panic!("it was loaded"),
        Err(errors) => errors.into_iter().map(|error| error.to_string()).collect(),
    }
}

#[tokio::test]
async fn a_hook_of_another_type_is_refused_with_both_signatures() {
    let refused = refusal(renamed(&probe_wasm(), "no-mx", "no-ms")).await;
    assert!(
        refused.starts_with(
            "plugin \"mine\": its on-transport has `ask: func() -> result<variant { \
             no-opinion(enum { domain, recipient, message }), send(record { transport: …, host: …, port: …, no-ms: …, "
        ) && refused.contains(
            "}>`, where facteur:policy@0.1.0 has `ask: func() -> result<next-hop, failure>` (type \
             mismatch for case send: expected record field named no-mx, found no-ms)"
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn a_hook_that_is_unknown_is_refused_beside_good_ones() {
    let export = "facteur:policy/on-transcend@0.1.0";
    let other = renamed(&probe_wasm(), "facteur:policy/on-transport@0.1.0", export);
    assert_eq!(
        refusal(other).await,
        format!(
            "plugin \"mine\": it exports {export}, which this host doesn't know \
             (facteur:policy@0.1.0: plugin, on-connect, on-helo, on-mail, on-rcpt, on-data, \
             on-end-of-data, on-content, on-alias, on-transport, on-delivery, on-authenticate): \
             export one of them, or take it out"
        )
    );
    let other =
        renamed(&probe_wasm(), "facteur:policy/plugin@0.1.0", "facteur:policy/plugon@0.1.0");
    assert!(refusal(other).await.contains("plugon"));
}

#[tokio::test]
async fn a_component_of_another_version_is_told_so() {
    for part in ["on-transport", "session"] {
        let ours = format!("facteur:policy/{part}@0.1.0");
        let theirs = format!("facteur:policy/{part}@0.2.0");
        assert_eq!(
            refusal(renamed(&probe_wasm(), &ours, &theirs)).await,
            "plugin \"mine\": it is built for facteur:policy 0.2.0, this host speaks 0.1: build it \
             against 0.1"
        );
    }
}

#[tokio::test]
async fn what_is_no_import_of_the_contract_is_refused() {
    let wasi =
        renamed(&probe_wasm(), "facteur:policy/scanner@0.1.0", "wasi:clocks/wall-clock@0.2.0");
    let refused = refusal(wasi).await;
    assert!(
        refused.starts_with("plugin \"mine\": it imports wasi:clocks/wall-clock@0.2.0: ")
            && refused.contains("no WASI"),
        "{refused}"
    );
}

/// What an author who is ahead of this host has: a later patch of the contract.
fn newer(wasm: &[u8]) -> Vec<u8> {
    let patched = renamed(wasm, "facteur:policy/session@0.1.0", "facteur:policy/session@0.1.7");
    renamed(&patched, "facteur:policy/verify@0.1.0", "facteur:policy/oracle@0.1.0")
}

#[tokio::test]
async fn a_newer_component_runs_here_but_for_what_is_missing() {
    // A function that this host hasn't, in an interface that it has.
    let ahead = newer(&renamed(&probe_wasm(), "reverse-name", "renowned-now"));
    for (text, told) in [
        ("{helo}", "550 5.7.1 client.test"),
        ("{reverse}", "451 4.3.5 Policy error, try again later"),
        ("{listener}", "550 5.7.1 127.0.0.1:25"),
    ] {
        let settings = format!(r#"{{"rcpt": "echo:{text}"}}"#);
        let plugin = PluginConfig { wasm: ahead.clone().into(), ..probe("ahead", &settings) };
        let policy = policy(vec![plugin], users()).await;
        let mut transaction = transaction(&policy).await;
        let decision =
            transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await;
        assert_eq!(refused(&decision), told, "{text}");
        if text == "{reverse}" {
            let steps = transaction.trace().take();
            let answer = &steps.iter().find(|step| step.plugin.is_some()).unwrap().answer;
            assert!(
                answer.starts_with(
                    "trap: session.renowned-now is newer than this host, which hasn't it"
                ),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_component_that_needs_more_than_the_whole_pool_is_refused() {
    let tables = SANDBOXES * 2;
    assert_eq!(
        refusal(with_tables(&probe_wasm(), tables as usize)).await,
        format!(
            "plugin \"mine\": a sandbox of it needs {} tables and 1 memories, which is the room \
             of {} sandboxes, and there are {SANDBOXES}: set sandboxes = {} or more in [policy], \
             and restart",
            tables + 2,
            SANDBOXES + 1,
            SANDBOXES + 1
        )
    );
}
