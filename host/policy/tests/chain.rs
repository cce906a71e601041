//! Chains, verdicts, aliases and routes, with a guest that says what the test wants.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Memory, policy, probe, rcpt, refused, relaying, transaction, users};
use facteur_policy::{Consignment, Decision, FinalRecipient, Grants, Message, Route, Tags, Trace};
use facteur_smtp::RcptParameters;

const ACCEPTED: Decision = Decision::Accept;

async fn chain_of(settings: &[&str], to: &str) -> Decision {
    let plugins = settings
        .iter()
        .enumerate()
        .map(|(n, one)| relaying(probe(&format!("p{n}"), one)))
        .collect();
    rcpt(&policy(plugins, users()).await, to).await
}

#[tokio::test]
async fn no_plugin_at_all_is_a_safe_server() {
    let policy = policy(vec![], users()).await;
    assert_eq!(rcpt(&policy, "louen@local.test").await, ACCEPTED);
    assert_eq!(
        refused(&rcpt(&policy, "x@elsewhere.test").await),
        "554 5.7.1 <x@elsewhere.test>: Relay access denied"
    );
    assert_eq!(
        refused(&rcpt(&policy, "nobody@local.test").await),
        "550 5.1.1 <nobody@local.test>: Recipient address rejected: User unknown in local \
         recipient table"
    );
    assert_eq!(
        refused(&rcpt(&policy, "nobody@alias.test").await),
        "550 5.1.1 <nobody@alias.test>: Recipient address rejected: User unknown in virtual alias \
         table"
    );
    assert_eq!(rcpt(&policy, "anyone@relay.test").await, ACCEPTED);
    assert!(refused(&rcpt(&policy, "broken@local.test").await).starts_with("451 4.3.0"));
}

#[tokio::test]
async fn an_accept_never_grants_relaying_nor_vouches() {
    assert!(
        refused(&chain_of(&[r#"{"rcpt": "accept"}"#], "x@elsewhere.test").await)
            .starts_with("554 5.7.1")
    );
    assert!(
        refused(&chain_of(&[r#"{"rcpt": "accept"}"#], "nobody@local.test").await)
            .starts_with("550 5.1.1")
    );
    assert!(
        refused(&chain_of(&[r#"{"rcpt": "allow-relay"}"#], "nobody@local.test").await)
            .starts_with("550 5.1.1")
    );
}

#[tokio::test]
async fn addresses_that_route_by_themselves_are_not_relayed() {
    for to in [
        "x%elsewhere.test@relay.test",
        "\"x@elsewhere.test\"@relay.test",
        "elsewhere.test!x@relay.test",
    ] {
        assert!(refused(&chain_of(&[], to).await).ends_with("Relay access denied"), "{to}");
    }
    let policy = policy(vec![], users()).await;
    let routed = transaction(&policy)
        .await
        .rcpt("@a.test:x@relay.test".parse().unwrap(), RcptParameters::default())
        .await;
    assert!(refused(&routed).ends_with("Relay access denied"));
}

#[tokio::test]
async fn the_first_verdict_ends_the_chain_of_its_stage() {
    let louen = "louen@local.test";
    assert_eq!(
        chain_of(&[r#"{"rcpt": "accept"}"#, r#"{"rcpt": "reject"}"#], louen).await,
        ACCEPTED
    );
    let decision = chain_of(
        &[r#"{"rcpt": "no-opinion"}"#, r#"{"rcpt": "reject"}"#, r#"{"rcpt": "defer"}"#],
        louen,
    )
    .await;
    assert_eq!(refused(&decision), "550 5.7.1 rejected at rcpt");
    // An accept at one stage says nothing about the next.
    let decision = chain_of(&[r#"{"connect": "accept", "mail": "reject"}"#], louen).await;
    assert_eq!(refused(&decision), "550 5.7.1 rejected at mail");
}

#[tokio::test]
async fn modifiers_wait_for_the_end_of_rcpt() {
    let louen = "louen@local.test";
    let if_permit = r#"{"helo": "defer-if-permit"}"#;
    assert_eq!(refused(&chain_of(&[if_permit], louen).await), "450 4.7.1 if permit");
    assert_eq!(
        refused(&chain_of(&[if_permit, r#"{"rcpt": "accept"}"#], louen).await),
        "450 4.7.1 if permit"
    );
    assert_eq!(
        refused(&chain_of(&[if_permit, r#"{"rcpt": "reject"}"#], louen).await),
        "550 5.7.1 rejected at rcpt",
        "a reject beats it"
    );
    let if_reject = r#"{"rcpt": "defer-if-reject"}"#;
    assert_eq!(chain_of(&[if_reject], louen).await, ACCEPTED);
    assert_eq!(
        refused(&chain_of(&[if_reject, r#"{"rcpt": "reject"}"#], louen).await),
        "450 4.7.1 if reject"
    );
    assert_eq!(refused(&chain_of(&[if_reject], "nobody@local.test").await), "450 4.7.1 if reject");
}

#[tokio::test]
async fn connect_helo_and_mail_are_asked_once_and_apply_to_each_recipient() {
    let policy = policy(vec![probe("p", r#"{"mail": ["tag:seen", "defer"]}"#)], users()).await;
    let mut transaction = transaction(&policy).await;
    for to in ["louen@local.test", "admin@local.test"] {
        let decision = transaction.rcpt(to.parse().unwrap(), RcptParameters::default()).await;
        assert_eq!(refused(&decision), "450 4.7.1 deferred at mail");
    }
}

#[tokio::test]
async fn early_plugins_are_asked_at_once() {
    let mut early = probe("early", r#"{"helo": "disconnect", "connect": "no-opinion"}"#);
    early.early = true;
    let policy = policy(vec![early], users()).await;
    let facts = facteur_policy::SessionFacts::new(
        "s".into(),
        "l".into(),
        "203.0.113.1:1".parse().unwrap(),
        false,
    );
    let session = policy.session(&policy.chain(None), Arc::new(facts));
    assert_eq!(session.connect().await, ACCEPTED);
    assert!(matches!(session.hello("x", true).await, Decision::Drop(reply) if reply.code == 521));
}

#[tokio::test]
async fn a_missing_grant_is_told_with_the_line_to_add() {
    let memory = Memory { tables: HashMap::from([("t".into(), HashMap::new())]), ..users() };
    let plugin = probe("asks", r#"{"rcpt": "find:t:key"}"#);
    let policy = policy(vec![plugin], memory).await;
    let told = refused(&rcpt(&policy, "louen@local.test").await);
    assert!(told.contains("add: lookup = ["), "{told}");
}

#[tokio::test]
async fn tables_are_asked_in_lower_case() {
    let memory = Memory {
        tables: HashMap::from([("t".into(), HashMap::from([("key".into(), "value".into())]))]),
        ..users()
    };
    let mut plugin = probe("asks", r#"{"rcpt": "find:t:KEY"}"#);
    plugin.grants = Grants { lookup: vec!["t".into()], ..Grants::default() };
    let policy = policy(vec![plugin], memory).await;
    let told = refused(&rcpt(&policy, "louen@local.test").await);
    assert!(told.contains("value: \"value\""), "{told}");
}

/// What an envelope to this one address becomes.
async fn expand(settings: &str, memory: Memory, to: &str) -> Vec<FinalRecipient> {
    let mut plugin = probe("aliases", settings);
    plugin.grants.include = vec!["/lists".into()];
    let policy = policy(vec![plugin], memory).await;
    let mut transaction = transaction(&policy).await;
    assert_eq!(transaction.rcpt(to.parse().unwrap(), RcptParameters::default()).await, ACCEPTED);
    transaction.finish().await.recipients
}

fn addresses(list: &[FinalRecipient]) -> Vec<String> {
    let shown = |one: &FinalRecipient| match &one.refusal {
        None => one.address.to_string(),
        Some(reply) => format!("{} refused {reply}", one.address),
    };
    list.iter().map(shown).collect()
}

#[tokio::test]
async fn aliases_expand_step_by_step_in_order_and_once_each() {
    let settings = r#"{"alias": {
        "all@local.test": ["team@local.test", "louen@local.test", "x@elsewhere.test"],
        "team@local.test": ["louen@local.test", "admin"]
    }}"#;
    let found = expand(settings, users(), "all@local.test").await;
    assert_eq!(addresses(&found), ["louen@local.test", "admin@origin.test", "x@elsewhere.test"]);
    assert!(
        found.iter().all(|one| one.original.to_string() == "all@local.test" && one.rcpt == Some(0))
    );
}

#[tokio::test]
async fn an_alias_that_names_itself_is_final() {
    let settings = r#"{"alias": {"admin@local.test": ["admin@local.test", "louen@local.test"]}}"#;
    assert_eq!(
        addresses(&expand(settings, users(), "admin@local.test").await),
        ["admin@local.test", "louen@local.test"]
    );
    // Final doesn't mean there: without a mailbox it is refused, singly.
    let settings = r#"{"alias": {"root@local.test": ["root@local.test", "louen@local.test"]}}"#;
    let found = expand(settings, users(), "root@local.test").await;
    assert!(addresses(&found)[0].starts_with("root@local.test refused 550 5.1.1"), "{found:?}");
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn commands_and_files_are_refused_one_by_one() {
    let settings =
        r#"{"alias": {"mixed@local.test": ["|ticket", "/var/mail/x", "louen@local.test"]}}"#;
    let found = addresses(&expand(settings, users(), "mixed@local.test").await);
    assert_eq!(
        found,
        [
            "mixed@local.test refused 550 5.7.0 delivery to a command is not granted",
            "mixed@local.test refused 550 5.7.0 delivery to a file is not granted",
            "louen@local.test"
        ]
    );
    // Where nothing good is left, RCPT is refused.
    let policy =
        policy(vec![probe("a", r#"{"alias": {"pipe@local.test": ["|x"]}}"#)], users()).await;
    assert!(
        refused(&rcpt(&policy, "pipe@local.test").await)
            .contains("delivery to a command is not granted")
    );
}

#[tokio::test]
async fn a_list_is_opened_at_the_end_and_its_owner_is_the_sender() {
    let settings = r#"{
        "alias": {"list@local.test": [":include:/lists/one"], "sub@local.test": [":include:/lists/two"]},
        "owner": {"list@local.test": "owner-list"}
    }"#;
    let entries = [
        "louen@local.test",
        "\"jean du bde\"@elsewhere.test",
        "|cmd",
        "sub@local.test",
        "not an address@",
    ];
    let lists = HashMap::from([
        ("/lists/one".to_owned(), entries.map(str::to_owned).to_vec()),
        ("/lists/two".to_owned(), vec!["x@elsewhere.test".to_owned()]),
    ]);
    let found = expand(settings, Memory { lists, ..users() }, "list@local.test").await;
    let shown = addresses(&found);
    assert_eq!(shown[0], "louen@local.test");
    assert_eq!(shown[1], "\"jean du bde\"@elsewhere.test");
    assert_eq!(shown[2], "x@elsewhere.test", "a list in a list");
    assert!(shown[3].starts_with("list@local.test refused 550 5.1.3"), "{shown:?}");
    assert_eq!(shown.len(), 4);
    assert!(
        found[0]
            .sender
            .as_ref()
            .is_some_and(|sender| sender.to_string() == "owner-list@origin.test")
    );
}

#[tokio::test]
async fn a_list_that_is_not_granted_waits_until_it_is() {
    let policy = policy(
        vec![probe("a", r#"{"alias": {"l@local.test": [":include:/etc/shadow"]}}"#)],
        users(),
    )
    .await;
    let told = refused(&rcpt(&policy, "l@local.test").await);
    assert!(told.starts_with("451") && told.contains("the list is not granted"), "{told}");
    assert!(!told.contains("shadow"), "{told}");
}

#[tokio::test]
async fn a_list_that_cant_be_read_is_kept_and_read_again() {
    let settings = r#"{"alias": {"l@local.test": ["louen@local.test", ":include:/lists/l"]}}"#;
    let mut plugin = probe("a", settings);
    plugin.grants.include = vec!["/lists".into()];
    let found = expand(settings, users(), "l@local.test").await;
    let (known, waiting) = (&found[0], &found[1]);
    assert_eq!((found.len(), &known.refusal), (2, &None));
    let told = waiting.refusal.as_ref().unwrap().to_string();
    assert!(told.starts_with("451 4.3.0") && !told.contains("/lists"), "{told}");
    assert_eq!(waiting.list.as_deref(), Some(std::path::Path::new("/lists/l")));
    // Only the list is asked about again, not all that the alias stands for.
    let lists = HashMap::from([("/lists/l".to_owned(), vec!["x@elsewhere.test".to_owned()])]);
    let policy = policy(vec![plugin], Memory { lists, ..users() }).await;
    let again = policy
        .resolve_again(waiting.address.clone(), waiting.list.as_deref(), &Arc::default())
        .await;
    assert_eq!(addresses(&again), ["x@elsewhere.test"]);
}

#[tokio::test]
async fn what_came_by_an_alias_bears_its_name_and_what_was_rewritten_doesnt() {
    let settings = r#"{"alias": {
        "all@local.test": ["team@local.test", "x@elsewhere.test"],
        "team@local.test": ["y@elsewhere.test"],
        "v@alias.test": ["z@elsewhere.test"]
    }}"#;
    let found = expand(settings, users(), "all@local.test").await;
    for one in &found {
        assert_eq!(one.alias.as_ref().unwrap().to_string(), "all@local.test");
    }
    assert_eq!(expand(settings, users(), "v@alias.test").await[0].alias, None);
}

#[tokio::test]
async fn lists_that_name_each_other_end_and_say_so() {
    let settings = r#"{"alias": {
        "l@local.test": [":include:/lists/a"],
        "a@local.test": ["b@local.test", "louen@local.test"],
        "b@local.test": ["a@local.test"]
    }}"#;
    let lists = HashMap::from([
        ("/lists/a".to_owned(), vec!["louen".to_owned(), ":include:/lists/b".to_owned()]),
        ("/lists/b".to_owned(), vec![":include:/lists/a".to_owned(), "x@y.test".to_owned()]),
    ]);
    let mut plugin = probe("a", settings);
    plugin.grants.include = vec!["/lists".into()];
    let policy = policy(vec![plugin], Memory { lists, ..users() }).await;
    let trace = Arc::new(Trace::default());
    let found = policy.resolve("l@local.test".parse().unwrap(), &trace).await;
    assert_eq!(addresses(&found), ["louen@origin.test", "x@y.test"]);
    let loops = |steps: Vec<facteur_policy::TraceStep>| {
        steps.into_iter().find(|step| step.answer.starts_with("alias loop")).unwrap()
    };
    assert_eq!(loops(trace.take()).answer, "alias loop: /lists/a names itself");
    policy.resolve("a@local.test".parse().unwrap(), &trace).await;
    let told = "alias loop: a@local.test -> b@local.test -> a@local.test";
    assert_eq!(loops(trace.take()).answer, told);
}

#[tokio::test]
async fn what_is_cut_off_has_no_result_at_all() {
    // Ten thousand members and more, in four steps.
    let level = |name: &str, below: &str| {
        format!(
            "\"{name}@local.test\": [{}]",
            vec![format!("\"{below}@local.test\""); 11].join(", ")
        )
    };
    let levels = [level("l0", "l1"), level("l1", "l2"), level("l2", "l3"), level("l3", "louen")];
    let settings = format!("{{\"alias\": {{{}}}}}", levels.join(", "));
    assert_eq!(expand(&settings, users(), "l1@local.test").await.len(), 1);
    let policy = policy(vec![probe("a", &settings)], users()).await;
    let told = refused(&rcpt(&policy, "l0@local.test").await);
    assert!(told.starts_with("451 4.3.5 <l0@local.test>"), "{told}");
}

#[tokio::test]
async fn an_expansion_that_grows_for_ever_is_deferred() {
    let policy = policy(vec![probe("a", "{}")], users()).await;
    let told = refused(&rcpt(&policy, "grow@local.test").await);
    assert!(told.starts_with("451 4.3.5") && told.ends_with("the alias expands too far"), "{told}");
}

#[tokio::test]
async fn an_alias_that_fails_is_451_and_never_unknown() {
    let settings =
        r#"{"alias": {"a@local.test": "fail", "b@local.test": "trap", "c@local.test": "unknown"}}"#;
    let policy = policy(vec![probe("a", settings)], users()).await;
    assert_eq!(
        refused(&rcpt(&policy, "a@local.test").await),
        "451 4.3.0 <a@local.test>: Temporary lookup failure"
    );
    assert!(refused(&rcpt(&policy, "b@local.test").await).starts_with("451 4.3.5"));
    assert!(
        refused(&rcpt(&policy, "c@local.test").await)
            .starts_with("550 5.1.1 <c@local.test>: Recipient address rejected: moved away")
    );
}

#[tokio::test]
async fn listed_asks_the_alias_hook_even_of_the_same_plugin() {
    let settings =
        r#"{"rcpt": "reject-unlisted", "alias": {"known@local.test": ["louen@local.test"]}}"#;
    let policy = policy(vec![probe("both", settings)], users()).await;
    assert_eq!(rcpt(&policy, "known@local.test").await, ACCEPTED);
    assert_eq!(refused(&rcpt(&policy, "nobody@local.test").await), "550 5.1.1 not listed");
}

#[tokio::test]
async fn a_dead_route_is_refused_at_rcpt() {
    let settings = r#"{"transport": {"relay.test": "error:550 5.1.2 gone"}}"#;
    let policy = policy(vec![probe("t", settings)], users()).await;
    assert_eq!(
        refused(&rcpt(&policy, "x@relay.test").await),
        "550 5.1.2 <x@relay.test>: Recipient address rejected: gone"
    );
}

async fn route(settings: &str, to: &str) -> Result<Route, String> {
    let policy = policy(vec![probe("t", settings)], users()).await;
    let to = to.parse().unwrap();
    let tags = Tags::default();
    let of = Consignment { sender: None, tags: &tags, utf8: false, address: &to, original: &to };
    policy.next_hop(of, &Arc::default()).await.map_err(|reply| reply.to_string())
}

#[tokio::test]
async fn routes_are_checked_and_fall_back_to_the_class() {
    let smtp = |route| match route {
        Ok(Route::Smtp(smtp)) => (smtp.host, smtp.port, smtp.mx),
        other => panic!("{other:?}"),
    };
    assert_eq!(smtp(route("{}", "x@elsewhere.test").await), ("elsewhere.test".into(), 25, true));
    assert_eq!(route("{}", "louen@local.test").await, Ok(Route::Maildir));
    let settings = r#"{"transport": {"a.test": "smtp:[next.test]:2525", "b.test": "uucp:x", "c.test": "trap"}}"#;
    assert_eq!(smtp(route(settings, "x@a.test").await), ("next.test".into(), 2525, false));
    for undecided in ["x@b.test", "x@c.test"] {
        assert!(
            route(settings, undecided).await.unwrap_err().starts_with("451 4.3.5"),
            "{undecided}"
        );
    }
}

#[tokio::test]
async fn no_opinion_is_used_again_as_far_as_everyone_asked_allows() {
    let settings = [r#"{"transport": {"some.test": "pass"}}"#, "{}"];
    let plugins = settings
        .iter()
        .enumerate()
        .map(|(number, one)| probe(&format!("p{number}"), one))
        .collect();
    let policy = policy(plugins, users()).await;
    let asked = async |to: &str| {
        let (to, tags, trace) = (to.parse().unwrap(), Tags::default(), Arc::new(Trace::default()));
        let of =
            Consignment { sender: None, tags: &tags, utf8: false, address: &to, original: &to };
        policy.next_hop(of, &trace).await.unwrap();
        trace.take().into_iter().filter(|step| step.plugin.is_some()).count()
    };
    assert_eq!(asked("x@elsewhere.test").await, 2);
    assert_eq!(asked("y@elsewhere.test").await, 0, "both said that the domain alone counts");
    assert_eq!(asked("x@some.test").await, 2);
    assert_eq!(asked("x@some.test").await, 0);
    assert_eq!(asked("y@some.test").await, 2, "one of them may say something else of this one");
}

#[tokio::test]
async fn actions_add_up_and_tags_pass_on() {
    let settings = [
        r#"{"rcpt": ["hold", "header:X-One: 1", "bcc:admin@local.test", "tag:x", "delay:60000"]}"#,
        r#"{"rcpt": ["header:X-Two: 2"], "data": "reject-if-tagged"}"#,
    ];
    let plugins =
        settings.iter().enumerate().map(|(n, one)| probe(&format!("p{n}"), one)).collect();
    let policy = policy(plugins, users()).await;
    let mut transaction = transaction(&policy).await;
    assert_eq!(
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await,
        ACCEPTED
    );
    assert_eq!(transaction.take_delay().as_secs(), 30, "at most half a minute");
    assert_eq!(refused(&transaction.data().await), "550 5.7.1 tagged");
    let outgoing = transaction.finish().await;
    assert_eq!(outgoing.actions.hold.as_deref(), Some("probed"));
    assert_eq!(
        outgoing.actions.headers,
        [("X-One".into(), "1".into()), ("X-Two".into(), "2".into())]
    );
    assert_eq!(addresses(&outgoing.recipients), ["louen@local.test", "admin@local.test"]);
    assert_eq!(outgoing.recipients[1].rcpt, None);
    assert_eq!(outgoing.tags, [("probe".into(), "x".into())]);
}

#[tokio::test]
async fn a_redirection_replaces_every_recipient() {
    let policy =
        policy(vec![probe("p", r#"{"rcpt": "redirect:admin@local.test"}"#)], users()).await;
    let mut transaction = transaction(&policy).await;
    assert_eq!(
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await,
        ACCEPTED
    );
    assert_eq!(addresses(&transaction.finish().await.recipients), ["admin@local.test"]);
}

#[tokio::test]
async fn the_message_is_seen_at_the_end_of_data_only() {
    let policy =
        policy(vec![probe("p", r#"{"end-of-data": "reject-subject:spam"}"#)], users()).await;
    for (subject, passes) in [("ham", true), ("spam", false)] {
        let mut transaction = transaction(&policy).await;
        assert_eq!(
            transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await,
            ACCEPTED
        );
        assert_eq!(transaction.data().await, ACCEPTED);
        let text = format!("From: x\r\nSUBJECT: {subject}\r\n\r\nSubject: body\r\n");
        let decision = transaction.end_of_data(Message::new(Arc::new(text.into_bytes()))).await;
        assert_eq!(decision == ACCEPTED, passes, "{decision:?}");
    }
}

#[tokio::test]
async fn a_discarded_message_has_no_recipients() {
    let policy = policy(vec![probe("p", r#"{"data": "discard"}"#)], users()).await;
    let mut transaction = transaction(&policy).await;
    assert_eq!(
        transaction.rcpt("louen@local.test".parse().unwrap(), RcptParameters::default()).await,
        ACCEPTED
    );
    assert_eq!(transaction.data().await, ACCEPTED);
    let outgoing = transaction.finish().await;
    assert!(outgoing.discard && outgoing.recipients.is_empty());
}

#[tokio::test]
async fn discarding_asks_nothing_more() {
    assert_eq!(chain_of(&[r#"{"mail": "discard"}"#], "x@elsewhere.test").await, ACCEPTED);
}

#[tokio::test]
async fn the_postmaster_is_there_whatever_the_restrictions_say() {
    // The origin of these tests is nobody's domain: even the postmaster is not relayed for a
    // stranger.
    let bare = || "Postmaster".parse().unwrap();
    let policy =
        policy(vec![probe("p", r#"{"rcpt": "reject", "connect": "reject"}"#)], users()).await;
    let told = refused(&transaction(&policy).await.rcpt(bare(), RcptParameters::default()).await);
    assert!(told.ends_with("Relay access denied"), "{told}");
    let policy = common::policy_for(
        common::domains_of("relay.test"),
        vec![probe("p", r#"{"rcpt": "reject"}"#)],
        users(),
    )
    .await;
    assert_eq!(transaction(&policy).await.rcpt(bare(), RcptParameters::default()).await, ACCEPTED);
    assert!(refused(&rcpt(&policy, "postmaster@relay.test").await).contains("rejected at rcpt"));
}

#[tokio::test]
async fn a_bounces_recipient_is_expanded_too() {
    let policy =
        policy(vec![probe("a", r#"{"alias": {"old@local.test": ["louen@local.test"]}}"#)], users())
            .await;
    let found = policy.resolve("old@local.test".parse().unwrap(), &Arc::default()).await;
    assert_eq!(addresses(&found), ["louen@local.test"]);
}

#[tokio::test]
async fn an_expansion_is_asked_once_for_a_transaction() {
    let memory = Memory { tables: HashMap::from([("t".into(), HashMap::new())]), ..users() };
    let before = memory.finds.load(Ordering::Relaxed);
    assert_eq!(before, 0);
    let settings =
        r#"{"rcpt": "reject-unlisted", "alias": {"known@local.test": ["louen@local.test"]}}"#;
    let policy = policy(vec![probe("both", settings)], memory).await;
    let mut transaction = transaction(&policy).await;
    for _ in 0..3 {
        assert_eq!(
            transaction.rcpt("known@local.test".parse().unwrap(), RcptParameters::default()).await,
            ACCEPTED
        );
    }
    // One copy, however often the client names it.
    assert_eq!(transaction.finish().await.recipients.len(), 1);
}
