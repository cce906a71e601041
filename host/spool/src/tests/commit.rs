//! Many writes, one commit.

use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use super::*;

/// As many as fit into one commit, which bounds the syncs of a busy server whatever its disk.
const WAITING: usize = 1_000;

#[tokio::test]
async fn what_waits_is_one_commit() {
    let directory = tempfile::tempdir().unwrap();
    let (hook, has_entered, go) = stop_first();
    let (spool, fake) = open_fake(&config(directory.path()), hook, Box::new(|()| Ok(())));
    let insert = |number: usize| {
        let spool = spool.clone();
        async move { spool.insert(message(&[&format!("user{number}@example.org")])).await }
    };
    let first = tokio::spawn(insert(0));
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    let mut others: Vec<_> = (1..=WAITING).map(|number| Box::pin(insert(number))).collect();
    // The first poll asks. None can be answered: the committer is held in the commit of the first.
    let mut context = Context::from_waker(Waker::noop());
    assert!(others.iter_mut().all(|other| other.as_mut().poll(&mut context).is_pending()));
    go.send(()).unwrap();
    let mut ids = vec![first.await.unwrap().unwrap().queue_id];
    for other in others {
        ids.push(other.await.unwrap().queue_id);
    }
    assert_eq!(fake.applies.load(Ordering::SeqCst), 2);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1 + WAITING);
}

#[tokio::test]
async fn a_refused_write_leaves_the_others_of_its_commit_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (hook, has_entered, go) = stop_first();
    let (spool, fake) = open_fake(&config(directory.path()), hook, Box::new(|()| Ok(())));
    fake.real.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON recipient WHEN NEW.address = 'bad@example.org'
        BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    );
    let mut messages = Vec::new();
    for recipients in [
        vec!["a@example.org"],
        vec!["a@example.org", "bad@example.org"],
        vec![],
        vec!["a@example.org"],
    ] {
        let mut message = message(&recipients);
        message.body = large_body(&spool).await;
        messages.push(message);
    }
    let insert = |message| {
        let spool = spool.clone();
        tokio::spawn(async move { spool.insert(message).await })
    };
    let first = insert(message(&["first@example.org"]));
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    let waiting: Vec<_> = messages.into_iter().map(insert).collect();
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    first.await.unwrap().unwrap();
    let mut answers = Vec::new();
    for insert in waiting {
        answers.push(insert.await.unwrap());
    }
    assert_eq!(fake.applies.load(Ordering::SeqCst), 2);
    assert!(answers[0].is_ok() && answers[3].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(SpoolError::Refused(_))), "{answers:?}");
    assert!(matches!(answers[2], Err(SpoolError::Refused(_))), "{answers:?}");
    assert_eq!(spool.list(None, 10).await.unwrap().len(), 3);
    assert!(!spool.is_failed());
    drop(spool);
    // The bodies of the two that were refused are gone.
    assert_eq!(std::fs::read_dir(directory.path().join("bodies")).unwrap().count(), 2);
}

#[tokio::test]
async fn the_same_message_again_finds_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let spool = Spool::open(&config).unwrap();
    let make = || async {
        let mut message = message(&["a@example.org", "b@example.org"]);
        message.id = MessageId::from_bytes(*b"one and the same");
        message.body = large_body(&spool).await;
        message
    };
    let first = spool.insert(make().await).await.unwrap();
    let (second, third) = (make().await, make().await);
    let again = spool.insert(second).await.unwrap();
    assert_eq!(again, Queued { duplicate: true, ..first.clone() });
    spool.record(done(&first.recipients[..1]), Vec::new()).await.unwrap();
    let as_notice = spool.record(Vec::new(), vec![third]).await.unwrap();
    assert_eq!(as_notice[0].recipients, first.recipients[1..]);
    assert_eq!(again.queue_id, first.queue_id);
    let loaded = spool.load(first.queue_id, None).await.unwrap().unwrap();
    assert_eq!(loaded.body.size(), SMALL_BODY as u64 + 1);
    drop(spool);
    assert_eq!(std::fs::read_dir(directory.path().join("bodies")).unwrap().count(), 1);
}

#[tokio::test]
async fn who_no_longer_waits_is_queued_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (hook, has_entered, go) = stop_first();
    let (spool, _fake) = open_fake(&config(directory.path()), hook, Box::new(|()| Ok(())));
    let insert = tokio::spawn({
        let spool = spool.clone();
        async move { spool.insert(message(&["a@example.org"])).await }
    });
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    insert.abort();
    assert!(insert.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    // A second write is answered after the first is done.
    spool.flush(Selection::All).await.unwrap();
    assert_eq!(spool.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn close_writes_what_waits() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let (hook, has_entered, go) = stop_first();
    let (spool, fake) = open_fake(&config, hook, Box::new(|()| Ok(())));
    let insert = |address: &'static str| {
        let spool = spool.clone();
        tokio::spawn(async move { spool.insert(message(&[address])).await })
    };
    let first = insert("a@example.org");
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    let second = insert("b@example.org");
    tokio::task::yield_now().await;
    let close = tokio::spawn({
        let spool = spool.clone();
        async move { spool.close().await }
    });
    tokio::task::yield_now().await;
    let late = insert("c@example.org");
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    close.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert!(matches!(late.await.unwrap(), Err(SpoolError::Closed)));
    drop((spool, fake));
    let spool = Spool::open(&config).unwrap();
    assert_eq!(spool.list(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_log_does_not_outgrow_the_reserve_while_the_housekeeper_is_slow() {
    let directory = tempfile::tempdir().unwrap();
    let config = SpoolConfig { log: 16 << 20, ..config(directory.path()) };
    let (hook, _has_entered, go) = stop_first();
    let (spool, _fake) = open_fake(&config, Box::new(|_| Ok(())), hook);
    let mut longest = 0;
    for _ in 0..200 {
        let mut message = message(&["a@example.org"]);
        message.body = Bytes::from(vec![b'x'; SMALL_BODY]).into();
        spool.insert(message).await.unwrap();
        longest =
            longest.max(std::fs::metadata(directory.path().join("queue.db-wal")).unwrap().len());
    }
    go.send(()).unwrap();
    assert!(longest > config.reserve / 4, "{longest}");
    assert!(longest < config.reserve, "{longest}");
}
