//! What is refused when a plugin is loaded, and in which words.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::component::{renamed, with_tables};
use common::{SANDBOXES, probe, probe_wasm, try_policy, users};
use facteur_policy::PluginConfig;

/// Why this component isn't loaded.
async fn refusal(wasm: Vec<u8>) -> String {
    let plugin = PluginConfig { wasm: wasm.into(), ..probe("mine", "{}") };
    match try_policy(vec![plugin], users()).await {
        Ok(_) => panic!("it was loaded"),
        Err(errors) => errors.into_iter().map(|error| error.to_string()).collect(),
    }
}

#[tokio::test]
async fn a_hook_that_lacks_a_function_or_has_one_of_another_type_is_refused() {
    assert_eq!(
        refusal(renamed(&probe_wasm(), "next-hop", "next-hup")).await,
        "plugin \"mine\": its transport lacks the function next-hop of facteur:policy@0.1.0: \
         build it against that version"
    );
    let refused = refusal(renamed(&probe_wasm(), "no-mx", "no-ms")).await;
    assert!(
        refused.starts_with(
            "plugin \"mine\": its transport.next-hop hasn't the type that facteur:policy@0.1.0 \
             gives it ("
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn a_hook_of_another_version_or_an_unknown_one_is_refused_beside_good_ones() {
    for export in [
        "facteur:policy/transport@0.2.0",
        "facteur:policy/transport@0.1.1",
        "facteur:policy/transcend@0.1.0",
    ] {
        let other = renamed(&probe_wasm(), "facteur:policy/transport@0.1.0", export);
        assert_eq!(
            refusal(other).await,
            format!(
                "plugin \"mine\": it exports {export}, which this facteur never asks (it asks \
                 facteur:policy@0.1.0: restriction, alias, transport, content, authenticate, \
                 delivery): build it against that version, or take the export out"
            )
        );
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
