//! What happens when writing fails for good, or what is there can't be read.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

#[tokio::test]
async fn a_failed_commit_is_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let applies = AtomicU32::new(0);
    let second_fails = move |_| match applies.fetch_add(1, Ordering::SeqCst) {
        1 => Err(SpoolError::fatal("disk I/O error")),
        _ => Ok(()),
    };
    let (spool, fake) = open_fake(&config, Box::new(second_fails), Box::new(|()| Ok(())));
    let queued = spool.insert(message(&["a@example.org"])).await.unwrap();
    let mut large = message(&["b@example.org"]);
    large.body = large_body(&spool).await;
    let error = spool.insert(large).await.unwrap_err();
    assert!(error.is_fatal());
    assert_eq!(error.reply().code, 451);
    assert!(spool.failed().await.is_fatal());
    // Nothing reaches the store any more, and nothing is tidied up.
    assert!(spool.insert(message(&["c@example.org"])).await.unwrap_err().is_fatal());
    assert!(spool.record(done(&queued.recipients), Vec::new()).await.unwrap_err().is_fatal());
    assert!(spool.load(queued.queue_id, None).await.unwrap_err().is_fatal());
    assert!(spool.space().unwrap_err().is_fatal());
    assert!(spool.close().await.unwrap_err().is_fatal());
    assert_eq!(fake.applies.load(Ordering::SeqCst), 2);
    assert_eq!(fake.checkpoints.load(Ordering::SeqCst), 0);
    drop((spool, fake));
    assert!(!directory.path().join("clean").exists());
    assert_eq!(
        std::fs::read_dir(directory.path().join("bodies")).unwrap().count(),
        1,
        "the row may be there"
    );
    let spool = Spool::open(&config).unwrap();
    assert!(spool.load(queued.queue_id, None).await.unwrap().is_some());
    assert_eq!(std::fs::read_dir(directory.path().join("bodies")).unwrap().count(), 0, "it isn't");
}

#[tokio::test]
async fn a_failed_checkpoint_is_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.log = 1;
    let fails = |()| Err(SpoolError::fatal("disk I/O error"));
    let (spool, fake) = open_fake(&config, Box::new(|_| Ok(())), Box::new(fails));
    let queued = spool.insert(message(&["a@example.org"])).await.unwrap();
    assert!(spool.failed().await.is_fatal());
    assert!(spool.insert(message(&["b@example.org"])).await.unwrap_err().is_fatal());
    drop((spool, fake));
    let spool = Spool::open(&config).unwrap();
    assert!(spool.load(queued.queue_id, None).await.unwrap().is_some());
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, real) = open_real(&config(directory.path()));
    let spoil = [
        "UPDATE message SET sender = 'a b@@' WHERE queue_id = :id",
        "UPDATE message SET size = size + 1 WHERE queue_id = :id",
        "UPDATE message SET tags = '{' WHERE queue_id = :id",
        "UPDATE message SET ret = 'SOME' WHERE queue_id = :id",
        "UPDATE message SET id = x'00' WHERE queue_id = :id",
        "UPDATE message SET body = NULL WHERE queue_id = :id",
        "UPDATE message SET file = 'nowhere' WHERE queue_id = :id",
        "UPDATE recipient SET address = '' WHERE message = :id",
        "UPDATE recipient SET notify = 'SOMETIMES' WHERE message = :id",
        "UPDATE recipient SET target = 'moon' WHERE message = :id",
        "UPDATE recipient SET refusal = 'x' WHERE message = :id",
        "UPDATE recipient SET attempts = -1 WHERE message = :id",
        "UPDATE recipient SET last_reply = 'abc def' WHERE message = :id",
    ];
    for statement in spoil {
        let queued = spool.insert(message(&["a@example.org"])).await.unwrap();
        real.execute(&statement.replace(":id", &queued.queue_id.number().to_string()));
        for _ in 0..2 {
            let error = spool.load(queued.queue_id, None).await.unwrap_err();
            assert!(matches!(error, SpoolError::Corrupt { .. }), "{statement}: {error}");
            let due = spool.due("example.org", Timestamp::now(), None, 10).await.unwrap();
            assert_eq!(due, Due { recipients: Vec::new(), next: None }, "{statement}");
            if statement.contains("attempts") {
                break; // A listing can't show that number either.
            }
            let summary = spool
                .list(None, 100)
                .await
                .unwrap()
                .into_iter()
                .find(|it| it.queue_id == queued.queue_id);
            let summary = summary.unwrap();
            assert_eq!(summary.recipients[0].state, "corrupt", "{statement}");
            assert!(summary.reason.is_some());
            // Released it is tried again, and found as it was.
            assert_eq!(spool.release(Selection::Message(queued.queue_id)).await.unwrap(), 1);
        }
        assert_eq!(spool.delete(Selection::Message(queued.queue_id)).await.unwrap(), 1);
    }
    assert!(!spool.is_failed());
}

#[tokio::test]
async fn a_newer_schema_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let (spool, real) = open_real(&config);
    real.execute("PRAGMA user_version = 2");
    drop((spool, real));
    let error = Spool::open(&config).unwrap_err();
    assert!(matches!(error, SpoolError::Newer { found: 2, known: 1, .. }), "{error}");
}

#[tokio::test]
async fn damage_is_found_after_an_unclean_end() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let spool = Spool::open(&config).unwrap();
    for _ in 0..100 {
        spool.insert(message(&["a@example.org"])).await.unwrap();
    }
    spool.close().await.unwrap();
    drop(spool);
    let clean = config.path.join("clean");
    assert!(clean.exists());
    let database = config.path.join("queue.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let length = bytes.len();
    bytes[length / 2..].fill(0x55);
    std::fs::write(&database, bytes).unwrap();
    // Pages that are in the log, too, would be read from there, and be whole.
    std::fs::write(config.path.join("queue.db-wal"), []).unwrap();
    std::fs::remove_file(clean).unwrap();
    let error = Spool::open(&config).unwrap_err();
    assert!(matches!(error, SpoolError::Damaged { .. }), "{error}");
}
