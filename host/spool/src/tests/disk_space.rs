//! A full disk: new mail is refused, outcomes are written, nothing is lost.

use std::sync::atomic::AtomicBool;

use super::*;

#[tokio::test]
async fn a_full_database_refuses_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, real) = open_real(&config(directory.path()));
    real.limit_pages(100);
    let mut kept = Vec::new();
    let full = loop {
        let mut message = message(&["a@example.org"]);
        message.body = Bytes::from(vec![b'x'; 10_000]).into();
        match spool.insert(message).await {
            Ok(queued) => kept.push(queued),
            Err(error) => break error,
        }
        assert!(kept.len() < 100);
    };
    assert!(matches!(full, SpoolError::Full));
    assert_eq!(
        (full.reply().code, full.reply().enhanced.unwrap().to_string()),
        (452, "4.3.1".into())
    );
    assert!(!spool.is_failed());
    assert_eq!(spool.list(None, 1000).await.unwrap().len(), kept.len());
    // An outcome frees what the next message needs.
    spool.record(done(&kept[0].recipients), Vec::new()).await.unwrap();
    real.limit_pages(1000);
    drop(spool);
    drop(real);
    let spool = Spool::open(&config(directory.path())).unwrap();
    spool.insert(message(&["b@example.org"])).await.unwrap();
    assert_eq!(spool.list(None, 1000).await.unwrap().len(), kept.len());
    for queued in &kept[1..] {
        assert_eq!(spool.load(queued.queue_id, None).await.unwrap().unwrap().body.size(), 10_000);
    }
}

#[tokio::test]
async fn outcomes_take_the_reserve_and_new_mail_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let reserve = config.path.join("reserve");
    let full = Arc::new(AtomicBool::new(false));
    let (stop, has_entered, go) = stop_first();
    let hook: Hook<usize> = Box::new({
        let (full, reserve) = (full.clone(), reserve.clone());
        move |writes| {
            stop(writes)?;
            // As a disk behaves: full while the reserve lies on it.
            if full.load(Ordering::SeqCst) && reserve.exists() {
                Err(SpoolError::Full)
            } else {
                Ok(())
            }
        }
    });
    assert!(!reserve.exists());
    let (spool, fake) = open_fake(&config, hook, Box::new(|()| Ok(())));
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), config.reserve);
    // The first one is held, so that the two after it are one batch.
    let first = tokio::spawn({
        let spool = spool.clone();
        async move { spool.insert(message(&["a@example.org", "b@example.org"])).await }
    });
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    let new = tokio::spawn({
        let spool = spool.clone();
        async move { spool.insert(message(&["c@example.org"])).await }
    });
    let flush = tokio::spawn({
        let spool = spool.clone();
        async move { spool.hold(Selection::All, "a look").await }
    });
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    let first = first.await.unwrap().unwrap();
    // Whether the disk is full when those two come is a matter of who is first; here it is not.
    new.await.unwrap().unwrap();
    flush.await.unwrap().unwrap();

    full.store(true, Ordering::SeqCst);
    let applies = fake.applies.load(Ordering::SeqCst);
    assert!(matches!(spool.insert(message(&["d@example.org"])).await, Err(SpoolError::Full)));
    assert!(reserve.exists(), "not for new mail");
    spool
        .record(done(&first.recipients[..1]), vec![message(&["sender@example.org"])])
        .await
        .unwrap();
    assert!(!reserve.exists(), "for outcomes and the notices with them");
    assert_eq!(fake.applies.load(Ordering::SeqCst), applies + 3);
    assert!(
        matches!(spool.space(), Err(SpoolError::Full)),
        "new mail is refused while the disk was just found full"
    );
    assert_eq!(spool.load(first.queue_id, None).await.unwrap().unwrap().recipients.len(), 1);
    assert_eq!(spool.list(None, 10).await.unwrap().len(), 3);
    drop((spool, fake));
    let _spool = Spool::open(&config).unwrap();
    assert!(reserve.exists(), "it is made anew when there is room");
}

#[tokio::test]
async fn a_mixed_batch_on_a_full_disk_keeps_its_outcomes() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let reserve = config.path.join("reserve");
    let (stop, has_entered, go) = stop_first();
    let held = AtomicBool::new(true);
    let hook: Hook<usize> = Box::new({
        let reserve = reserve.clone();
        move |writes| {
            stop(writes)?;
            if !held.swap(false, Ordering::SeqCst) && reserve.exists() {
                Err(SpoolError::Full)
            } else {
                Ok(())
            }
        }
    });
    let (spool, _fake) = open_fake(&config, hook, Box::new(|()| Ok(())));
    let insert = |address: &'static str| {
        let spool = spool.clone();
        tokio::spawn(async move { spool.insert(message(&[address])).await })
    };
    let first = insert("a@example.org");
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    let before = insert("b@example.org");
    tokio::task::yield_now().await;
    let notice = tokio::spawn({
        let spool = spool.clone();
        async move { spool.record(Vec::new(), vec![message(&["sender@example.org"])]).await }
    });
    tokio::task::yield_now().await;
    let after = insert("c@example.org");
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    first.await.unwrap().unwrap();
    assert!(matches!(before.await.unwrap(), Err(SpoolError::Full)));
    assert_eq!(notice.await.unwrap().unwrap().len(), 1);
    assert!(matches!(after.await.unwrap(), Err(SpoolError::Full)));
    let mut senders: Vec<String> = Vec::new();
    for summary in spool.list(None, 10).await.unwrap() {
        senders.extend(summary.recipients.into_iter().map(|recipient| recipient.address));
    }
    assert_eq!(senders, ["a@example.org", "sender@example.org"]);
}
