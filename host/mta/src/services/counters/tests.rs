//! Counters across restarts. What one store does is tested beside it.

use facteur_policy::Counters as _;

use super::*;

const HOUR: Lifetime = Lifetime::FromBeginning(Duration::from_hours(1));

fn wanted(names: &[(&str, bool)]) -> BTreeMap<String, config::CounterStore> {
    names
        .iter()
        .map(|(name, durable)| {
            ((*name).to_owned(), config::CounterStore { keys: 10, durable: *durable })
        })
        .collect()
}

fn value(view: &CountersView, store: &str, key: &str) -> Option<u64> {
    view.get(store, key).unwrap().map(|count| count.value)
}

#[test]
fn durable_stores_outlive_a_restart_and_others_dont() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counters.sqlite");
    let names = wanted(&[("kept", true), ("other", true), ("volatile", false)]);
    let counters = Counters::new(Some(file.clone()));
    let view = counters.view(&names);
    view.add("kept", "a", 3, HOUR).unwrap();
    view.add("kept", "gone", 1, HOUR).unwrap();
    view.add("kept", "over", 1, Lifetime::FromNow(Duration::ZERO)).unwrap();
    view.add("other", "a", u64::MAX, HOUR).unwrap();
    view.add("volatile", "a", 1, HOUR).unwrap();
    let hourly = Bucket { size: 1, period: Duration::from_hours(1) };
    assert_eq!(view.take("kept", "a", 1, hourly), Ok(Taken::Yes));
    view.remove("kept", "gone").unwrap();
    counters.close();

    let counters = Counters::new(Some(file.clone()));
    let view = counters.view(&names);
    assert_eq!((value(&view, "kept", "a"), value(&view, "other", "a")), (Some(3), Some(u64::MAX)));
    assert_eq!((value(&view, "kept", "gone"), value(&view, "kept", "over")), (None, None));
    assert_eq!(value(&view, "volatile", "a"), None);
    assert!(matches!(view.take("kept", "a", 1, hourly), Ok(Taken::Wait(_))));
    // What is removed later is gone from the disk as well.
    view.remove("kept", "a").unwrap();
    counters.close();
    let view = Counters::new(Some(file)).view(&names);
    assert_eq!(value(&view, "kept", "a"), None);
}

#[test]
fn a_reload_leaves_the_counters_as_they_are() {
    let counters = Counters::new(None);
    let before = counters.view(&wanted(&[("a", true)]));
    before.add("a", "key", 1, HOUR).unwrap();
    let after = counters.view(&wanted(&[("a", false), ("b", false)]));
    assert_eq!((value(&after, "a", "key"), value(&after, "b", "key")), (Some(1), None));
    assert_eq!(before.get("b", "key"), Err(UnknownStore("b".into())));
}

#[test]
fn many_threads_take_no_more_than_there_is() {
    let counters = Counters::new(None);
    let view = counters.view(&wanted(&[("a", false)]));
    let bucket = Bucket { size: 1_000, period: Duration::from_hours(400 * 24) };
    let taken: usize = std::thread::scope(|scope| {
        let take =
            || (0..1_000).filter(|_| view.take("a", "key", 1, bucket) == Ok(Taken::Yes)).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1_000);
}

#[test]
fn a_file_that_cant_be_read_costs_the_counters_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counters.sqlite");
    std::fs::write(&file, "this is no database, whatever it may be called").unwrap();
    let counters = Counters::new(Some(file));
    let view = counters.view(&wanted(&[("kept", true)]));
    assert_eq!(view.add("kept", "a", 3, HOUR).unwrap().value, 3);
    counters.close();
}
