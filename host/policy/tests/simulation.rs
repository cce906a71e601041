//! Services that leave no trace, and services on a tape.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(unused_crate_dependencies, reason = "of other tests")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Memory, policy, probe, users};
use facteur_policy::{
    Bucket, Counters, Lifetime, Mailboxes, Mode, Overlay, PluginConfig, Services, SessionFacts,
    Tables, Taken, Taped,
};
use facteur_smtp::{MailParameters, RcptParameters};

fn counted() -> Arc<Memory> {
    let store = HashMap::from([("known".to_owned(), 2)]);
    Arc::new(Memory { counters: HashMap::from([("seen".to_owned(), store.into())]), ..users() })
}

const DAY: Lifetime = Lifetime::FromNow(Duration::from_hours(24));
const BUCKET: Bucket = Bucket { size: 3, period: Duration::from_hours(1) };

#[test]
fn an_overlay_counts_on_and_moves_nothing() {
    let beneath = counted();
    let overlay = Arc::new(Overlay::new(beneath.clone()));
    let counters = Services::of(&beneath).simulated(overlay, false).counters;
    let value = |key: &str| counters.get("seen", key).unwrap().map(|count| count.value);
    assert_eq!((value("known"), value("new")), (Some(2), None));
    assert_eq!(counters.add("seen", "known", 3, DAY).unwrap().value, 5);
    assert_eq!(counters.add("seen", "new", 1, DAY).unwrap().value, 1);
    assert_eq!((value("known"), value("new")), (Some(5), Some(1)));
    assert!(
        counters.remove("seen", "known").unwrap() && !counters.remove("seen", "other").unwrap()
    );
    assert_eq!(value("known"), None);
    for expected in [true, true, true, false, false] {
        assert_eq!(counters.take("seen", "bucket", 1, BUCKET).unwrap() == Taken::Yes, expected);
    }
    assert_eq!(counters.take("seen", "bucket", 4, BUCKET).unwrap(), Taken::Never);
    assert_eq!(
        beneath.counters["seen"].lock().unwrap().clone(),
        HashMap::from([("known".to_owned(), 2)])
    );
}

#[tokio::test]
async fn a_tape_answers_as_before_and_tells_what_it_lacks() {
    let recording = Taped::recording(Arc::new(Services::of(&counted())));
    let keys = ["x".to_owned()];
    let first = recording.find("nowhere", &keys).await;
    let mailbox = recording.exists(&"louen@local.test".parse().unwrap()).await;
    Counters::add(&recording, "seen", "known", 1, DAY).unwrap();
    Counters::add(&recording, "seen", "known", 1, DAY).unwrap();
    let playing = Taped::playing(recording.take().unwrap());
    assert_eq!(playing.find("nowhere", &keys).await, first);
    assert_eq!(playing.exists(&"louen@local.test".parse().unwrap()).await, mailbox);
    let values = [3, 4, 4];
    for value in values {
        assert_eq!(Counters::add(&playing, "seen", "known", 1, DAY).unwrap().value, value);
    }
    assert!(playing.missing().is_empty());
    assert!(playing.exists(&"other@local.test".parse().unwrap()).await.is_err());
    assert_eq!(playing.missing(), ["[\"mailbox\",\"other@local.test\"]"]);
}

#[tokio::test]
async fn a_plugin_in_the_shadow_keeps_its_notes_to_itself() {
    let shadow = PluginConfig {
        mode: Mode::Shadow,
        ..probe("shadow", r#"{"mail": "tag:x", "rcpt": "reject-if-tagged"}"#)
    };
    let plugins = vec![shadow, probe("after", r#"{"rcpt": "reject-if-tagged"}"#)];
    let policy = policy(plugins, users()).await;
    let facts =
        SessionFacts::new("s1".into(), "l".into(), "203.0.113.25:25".parse().unwrap(), false);
    let session = policy.session(&policy.chain(None), Arc::new(facts));
    session.hello("client.test", true).await;
    let mut transaction = session.begin(None, MailParameters::default());
    assert_eq!(
        transaction
            .rcpt("louen@local.test".parse().unwrap(), RcptParameters::default())
            .await
            .to_string(),
        "accepted"
    );
    let steps = transaction.trace().take();
    let told: Vec<_> =
        steps.iter().filter(|step| step.question == "rcpt").map(|step| &*step.answer).collect();
    assert_eq!(told, ["reject 550 5.7.1 tagged", "no opinion"]);
    assert!(steps.iter().all(|step| step.shadow == (step.plugin.as_deref() == Some("shadow"))));
}
