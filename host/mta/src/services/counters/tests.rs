//! Counters across restarts. What one store does is tested beside it.

use std::sync::atomic::{AtomicU64, Ordering};

use facteur_policy::Counters as _;

use super::store::Entry;
use super::*;

const HOUR: Lifetime = Lifetime::FromBeginning(Duration::from_hours(1));

fn wanted(names: &[(&str, bool)]) -> BTreeMap<String, config::CounterStore> {
    names
        .iter()
        .map(|(name, durable)| {
            ((*name).to_owned(), config::CounterStore { keys: 2_000, durable: *durable })
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
fn a_damaged_file_is_put_aside_and_another_begun_for_good() {
    let garbage = b"this is no database, whatever it may be called".repeat(100);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counters.sqlite");
    let aside = folder.path().join("counters.sqlite.damaged");
    let names = wanted(&[("kept", true)]);
    let (open, year) =
        (|| Counters::new(Some(file.clone())), Lifetime::FromNow(Duration::from_hours(24 * 365)));
    let fill = |counters: &Counters| {
        let view = counters.view(&names);
        for number in 0..1_000 {
            view.add("kept", &format!("{number} {}", "x".repeat(100)), 1, year).unwrap();
        }
        counters.close();
    };
    // As a whole, in its middle, or of another version.
    std::fs::write(&file, &garbage).unwrap();
    for damage in 0..3 {
        let counters = open();
        let view = counters.view(&names);
        assert_eq!(value(&view, "kept", "a"), None, "{damage}");
        assert_eq!(view.add("kept", "a", 3, HOUR).unwrap().value, 3);
        drop(counters);
        assert!(aside.exists(), "{damage}");
        std::fs::remove_file(&aside).unwrap();
        let counters = open();
        assert_eq!(value(&counters.view(&names), "kept", "a"), Some(3), "{damage}");
        assert!(!aside.exists(), "{damage}");
        drop(counters);
        if damage == 0 {
            fill(&open());
            let mut bytes = std::fs::read(&file).unwrap();
            assert!(bytes.len() > 30_000);
            bytes[5_000..25_000].fill(0);
            std::fs::write(&file, bytes).unwrap();
        } else {
            let connection = rusqlite::Connection::open(&file).unwrap();
            connection.execute_batch("PRAGMA user_version = 99").unwrap();
        }
    }
}

#[test]
fn a_file_that_is_damaged_while_it_is_used_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counters.sqlite");
    let names = wanted(&[("kept", true)]);
    let (disk, store) = (
        Mutex::new(Disk::new(file.clone(), Clock::default())),
        Store::of(vec![("c:a".to_owned(), Entry { value: 3, since: 1, until: u64::MAX })]),
    );
    let all = [("kept".to_owned(), NamedStore { store: Arc::new(store), durable: true })];
    all[0].1.store.all_changed();
    assert!(write_all(&disk, &all, true) && !disk.lock().has_begun_anew());
    // SQLite holds the file open, and would read the header once more.
    drop(disk);
    std::fs::write(&file, b"no database ".repeat(1_000)).unwrap();
    let disk = Mutex::new(Disk::new(file.clone(), Clock::default()));
    let bounds = Bounds { keys: 10, durable: true };
    all[0].1.store.add("b", 1, HOUR, Clock::default().now(), bounds);
    assert!(write_all(&disk, &all, true) && disk.lock().has_begun_anew());
    all[0].1.store.all_changed();
    assert!(write_all(&disk, &all, true) && !disk.lock().has_begun_anew());
    drop(disk);
    let view = Counters::new(Some(file)).view(&names);
    assert_eq!((value(&view, "kept", "a"), value(&view, "kept", "b")), (Some(3), Some(1)));
}

const SECOND: u64 = 1_000_000;

#[test]
fn a_clock_that_was_ahead_and_is_set_right_makes_nobody_wait() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counters.sqlite");
    let names = wanted(&[("kept", true)]);
    let today = 1_800_000_000 * SECOND;
    let wall = Arc::new(AtomicU64::new(0));
    let open = |at: u64| {
        wall.store(at, Ordering::Relaxed);
        let wall = wall.clone();
        let clock = Clock::beside(Arc::new(move || wall.load(Ordering::Relaxed)));
        Counters::by(clock, Some(file.clone()))
    };
    let minute = Bucket { size: 1, period: Duration::from_secs(60) };
    let waits = |view: &CountersView| match view.would_take("kept", "rate", 1, minute) {
        Ok(Taken::Wait(time)) => time,
        other => panic!("{other:?}"),
    };
    let age = |view: &CountersView, key| view.get("kept", key).unwrap().map(|count| count.age);

    // Ten years ahead, and then right, while it runs.
    let counters = open(today + 10 * 365 * 86_400 * SECOND);
    let view = counters.view(&names);
    view.add("kept", "before", 1, HOUR).unwrap();
    assert_eq!(view.take("kept", "rate", 1, minute), Ok(Taken::Yes));
    wall.store(today, Ordering::Relaxed);
    assert!(waits(&view) <= Duration::from_secs(60));
    assert!(age(&view, "before").unwrap() < Duration::from_secs(50));
    view.add("kept", "after", 1, HOUR).unwrap();
    counters.close();

    // What was written by the right clock has its age; what wasn't is as old as it was then.
    let counters = open(today + 100 * SECOND);
    let view = counters.view(&names);
    assert_eq!(age(&view, "after").map(|age| age.as_secs()), Some(100));
    assert_eq!(view.would_take("kept", "rate", 1, minute), Ok(Taken::Yes));
    counters.close();

    // A clock that is ahead at the end, and right at the next start.
    let counters = open(today + 86_400 * SECOND);
    let view = counters.view(&names);
    view.add("kept", "late", 1, HOUR).unwrap();
    assert_eq!(view.take("kept", "rate", 1, minute), Ok(Taken::Yes));
    counters.close();
    let counters = open(today + 200 * SECOND);
    let view = counters.view(&names);
    let late = view.get("kept", "late").unwrap().unwrap();
    assert!(late.age < Duration::from_secs(50) && late.left <= Duration::from_hours(1), "{late:?}");
    assert!(waits(&view) <= Duration::from_secs(60));
    counters.close();
    // It counted as written then: from there on time goes on as ever.
    let view = open(today + 261 * SECOND).view(&names);
    assert_eq!(view.would_take("kept", "rate", 1, minute), Ok(Taken::Yes));
    assert!(age(&view, "late").unwrap() >= Duration::from_secs(61));
}
