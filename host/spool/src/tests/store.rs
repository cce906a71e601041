//! The spool's directory and the door, with the real store.

use facteur_smtp::status;
use std::fs::Permissions;
use std::time::{Duration, SystemTime};

use super::*;

#[tokio::test]
async fn a_clean_end_leaves_all_in_the_database_and_private() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory.path().join("spool"));
    let spool = Spool::open(&config).unwrap();
    let mut large = message(&["a@example.org"]);
    large.body = large_body(&spool).await;
    let queued = spool.insert(large).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&config.path), 0o700);
    for entry in std::fs::read_dir(&config.path)
        .unwrap()
        .chain(std::fs::read_dir(config.path.join("bodies")).unwrap())
    {
        let entry = entry.unwrap();
        let expected = if entry.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&entry.path()), expected, "{:?}", entry.path());
    }
    spool.close().await.unwrap();
    assert!(matches!(spool.insert(message(&["a@example.org"])).await, Err(SpoolError::Closed)));
    assert!(matches!(spool.close().await, Err(SpoolError::Closed)));
    drop(spool);
    assert_eq!(mode(&config.path.join("clean")), 0o600);
    // The log is not needed any more.
    std::fs::remove_file(config.path.join("queue.db-wal")).unwrap();
    let spool = Spool::open(&config).unwrap();
    assert!(!config.path.join("clean").exists());
    assert!(spool.load(queued.queue_id, None).await.unwrap().is_some());
}

#[tokio::test]
async fn one_process_only() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let spool = Spool::open(&config).unwrap();
    let error = Spool::open(&config).unwrap_err();
    assert!(matches!(error, SpoolError::Locked { .. }));
    let text = error.to_string();
    assert!(text.contains(&directory.path().display().to_string()), "{text}");
    assert!(
        text.contains(&format!("another facteur (process {}) runs", std::process::id())),
        "{text}"
    );
    drop(spool);
    Spool::open(&config).unwrap();
}

#[tokio::test]
async fn a_spool_that_others_may_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    drop(Spool::open(&config).unwrap());
    for (path, mode, good) in [
        (config.path.clone(), 0o770, 0o755),
        (config.path.join("bodies"), 0o702, 0o700),
        (config.path.join("queue.db"), 0o620, 0o600),
    ] {
        let set = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        set(mode);
        let error = Spool::open(&config).unwrap_err();
        assert!(matches!(error, SpoolError::Open { .. }), "{error}");
        let told = error.to_string();
        for wanted in [path.to_str().unwrap(), &format!("{mode:o}"), "chmod go-w"] {
            assert!(told.contains(wanted), "{wanted} is not in {told}");
        }
        set(good);
        drop(Spool::open(&config).unwrap());
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&config.path, Some(4711), None).unwrap();
        let error = Spool::open(&config).unwrap_err();
        assert!(matches!(error, SpoolError::Open { owner: 4711, .. }), "{error}");
    }
}

#[tokio::test]
async fn what_waits_comes_earlier_when_the_clock_was_set_back() {
    const HOUR: u64 = 3_600_000;
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let spool = Spool::open(&config).unwrap();
    assert_eq!(spool.ahead(), Duration::ZERO);
    let now = Timestamp::now().0;
    let mut message = message(&["early@example.org", "late@example.org", "due@example.org"]);
    message.received_at = Timestamp(now + 24 * HOUR);
    let queued = spool.insert(message).await.unwrap();
    let deferred = |(index, next_try): (usize, u64)| RecipientUpdate {
        recipient: queued.recipients[index],
        what: Update::Deferred {
            next_try: Timestamp(next_try),
            reply: Reply::new(450, status::UNDEFINED, "later"),
            remote: None,
        },
    };
    let waiting = [(0, now + 3 * HOUR), (1, now + 25 * HOUR), (2, now - HOUR)];
    spool.record(waiting.map(deferred).into(), Vec::new()).await.unwrap();
    assert_eq!(spool.clock_set_back(Duration::from_millis(24 * HOUR)).await.unwrap(), 1);
    let after = spool.load(queued.queue_id, None).await.unwrap().unwrap();
    let next: Vec<u64> = after.recipients.iter().map(|one| one.next_try.0).collect();
    let until = Timestamp::now().0;
    assert!((now..=until).contains(&after.received_at.0));
    assert!((now..=until).contains(&next[0]), "no earlier than now");
    assert_eq!(next[1..], [now + HOUR, now - HOUR]);
    spool.close().await.unwrap();
    drop(spool);
    // The next start sees by the files that they were written in the future.
    let then = SystemTime::now() + Duration::from_millis(24 * HOUR);
    let database = std::fs::File::options().append(true).open(config.path.join("queue.db"));
    database.unwrap().set_modified(then).unwrap();
    let ahead = Spool::open(&config).unwrap().ahead();
    assert!(ahead > Duration::from_millis(23 * HOUR), "{ahead:?}");
}

#[tokio::test]
async fn everything_said_of_a_message_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let spool = Spool::open(&config).unwrap();
    let tags =
        vec![("spam".to_owned(), "5.1 \"quoted\" é\0".to_owned()), ("spam".into(), String::new())];
    let mut message = message(&["jürgen@bücher.example", "\"a b\"@[192.0.2.1]", "postmaster"]);
    message.sender = None;
    message.utf8 = true;
    message.eight_bit = false;
    message.ret = Some(Ret::Headers);
    message.envid = Some("QQ314159".into());
    message.tags = tags.clone();
    message.hold = Some(Hold::Hold("a look first".into()));
    message.client = Client {
        address: "2001:db8::1".into(),
        name: "unknown".into(),
        helo: "[x]".into(),
        protocol: "ESMTP".into(),
        login: Some("me".into()),
    };
    let refusal = Reply::new(550, status::SECURITY, "no\n5.1.1 delivery to a command");
    message.recipients[0].refusal = Some(refusal.clone());
    message.recipients[0].notify = Some("SUCCESS,DELAY".parse().unwrap());
    message.recipients[0].orcpt = Some("rfc822;juergen@example.org".into());
    message.recipients[1].sender = Some(None);
    message.recipients[1].original = "list@example.org".parse().unwrap();
    message.recipients[2].sender = Some(Some("owner-list@example.org".parse().unwrap()));
    message.recipients[2].tags = tags;
    message.recipients[2].class = "relay".into();
    message.recipients[2].notify = Some(Notify::NEVER);
    let (given, id, client) = (message.recipients.clone(), message.id, message.client.clone());
    let queued = spool.insert(message).await.unwrap();
    assert!(queued.recipients.iter().all(|id| id.message() == queued.queue_id));
    let reply = Reply::plain(421, "try later");
    let what = Update::Deferred {
        next_try: Timestamp(77),
        reply: reply.clone(),
        remote: Some("mx [192.0.2.9]".into()),
    };
    spool
        .record(vec![RecipientUpdate { recipient: queued.recipients[1], what }], Vec::new())
        .await
        .unwrap();
    drop(spool);

    let spool = Spool::open(&config).unwrap();
    let loaded = spool.load(queued.queue_id, None).await.unwrap().unwrap();
    assert_eq!((loaded.queue_id, loaded.id, loaded.sender.as_ref()), (queued.queue_id, id, None));
    assert_eq!((loaded.utf8, loaded.eight_bit, loaded.ret), (true, false, Some(Ret::Headers)));
    assert_eq!((loaded.envid.as_deref(), &loaded.client), (Some("QQ314159"), &client));
    assert_eq!((loaded.tags.len(), loaded.reason.as_deref()), (2, Some("a look first")));
    assert_eq!(loaded.size, (loaded.header.len() + "\r\nHello\r\n".len()) as u64);
    for (index, (loaded, given)) in loaded.recipients.iter().zip(&given).enumerate() {
        assert_eq!(&loaded.head, given);
        assert_eq!(loaded.id, queued.recipients[index]);
        assert_eq!(loaded.state, RecipientState::Hold);
        assert_eq!(loaded.attempts, u32::from(index == 1));
    }
    let deferred = &loaded.recipients[1];
    assert_eq!((deferred.next_try, deferred.last_reply.as_ref()), (Timestamp(77), Some(&reply)));
    assert_eq!(deferred.remote.as_deref(), Some("mx [192.0.2.9]"));
    // Only who is asked for, and only of this message.
    let wanted = vec![queued.recipients[2], RecipientId::from_key(5)];
    let part = spool.load(queued.queue_id, Some(wanted)).await.unwrap().unwrap();
    assert_eq!(part.recipients.iter().map(|it| it.id).collect::<Vec<_>>(), queued.recipients[2..]);
    assert!(spool.load(queued.queue_id.next(), None).await.unwrap().is_none());
}

#[tokio::test]
async fn bodies_are_whole_on_both_sides_of_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(directory.path())).unwrap();
    let files = || std::fs::read_dir(directory.path().join("bodies")).unwrap().count();
    let mut large = 0;
    for size in [0, 1, SMALL_BODY - 1, SMALL_BODY, SMALL_BODY + 1, 256 * 1024, 700_001] {
        for chunk in [1000, 65_536, 128 * 1024, 1_000_000] {
            let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let mut body = spool.body();
            for chunk in content.chunks(chunk) {
                body.write(chunk.to_vec()).await.unwrap();
            }
            let mut message = message(&["a@example.org"]);
            message.body = body.finish().await.unwrap();
            assert_eq!(message.body.size(), size as u64);
            let queued = spool.insert(message).await.unwrap();
            large += usize::from(size > SMALL_BODY);
            assert_eq!(files(), large);
            let loaded = spool.load(queued.queue_id, None).await.unwrap().unwrap();
            let mut reader = loaded.body.open().await.unwrap();
            let mut read = Vec::new();
            while let Some(chunk) = reader.next().await.unwrap() {
                read.extend_from_slice(&chunk);
            }
            assert!(read == content, "{size} octets in chunks of {chunk}");
            let middle = reader.read_at(size as u64 / 2, 100).await.unwrap();
            assert_eq!(middle[..], content[size / 2..(size / 2 + 100).min(size)]);
            assert!(reader.read_at(size as u64 + 1, 100).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn what_is_not_stored_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(directory.path())).unwrap();
    let files = || std::fs::read_dir(directory.path().join("bodies")).unwrap().count();
    let mut unfinished = spool.body();
    unfinished.write(vec![0; SMALL_BODY + 1]).await.unwrap();
    let finished = large_body(&spool).await;
    assert_eq!(files(), 2);
    drop(unfinished);
    drop(finished);
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn files_go_with_their_message_and_orphans_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let bodies = directory.path().join("bodies");
    let spool = Spool::open(&config).unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut message = message(&["a@example.org", "b@example.org"]);
        message.body = large_body(&spool).await;
        ids.push(spool.insert(message).await.unwrap());
    }
    // Read while it is removed, a body stays readable.
    let loaded = spool.load(ids[0].queue_id, None).await.unwrap().unwrap();
    let mut reader = loaded.body.open().await.unwrap();
    spool.record(done(&ids[0].recipients[..1]), Vec::new()).await.unwrap();
    assert!(spool.load(ids[0].queue_id, None).await.unwrap().is_some(), "it has a recipient left");
    spool.record(done(&ids[0].recipients), Vec::new()).await.unwrap();
    assert_eq!(spool.delete(Selection::Message(ids[1].queue_id)).await.unwrap(), 1);
    assert_eq!(spool.delete(Selection::Message(ids[1].queue_id)).await.unwrap(), 0);
    drop(spool);
    assert_eq!(std::fs::read_dir(&bodies).unwrap().count(), 1);
    assert!(reader.next().await.unwrap().is_some());

    std::fs::write(bodies.join("orphan"), "left by a crash").unwrap();
    let spool = Spool::open(&config).unwrap();
    assert_eq!(std::fs::read_dir(&bodies).unwrap().count(), 1);
    assert!(spool.load(ids[2].queue_id, None).await.unwrap().is_some());
}

#[tokio::test]
async fn due_and_destinations_are_found_by_the_index_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, real) = open_real(&config(directory.path()));
    for plan in real.plans() {
        assert!(plan.contains("COVERING INDEX recipient_due"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
    let first =
        spool.insert(message(&["a@one.example", "b@one.example", "c@two.example"])).await.unwrap();
    let mut later = message(&["a@one.example"]);
    later.received_at = Timestamp(50);
    let later = spool.insert(later).await.unwrap();
    let due = spool.due("one.example", Timestamp(49), None, 10).await.unwrap();
    assert_eq!(due.recipients.iter().map(|it| it.id).collect::<Vec<_>>(), first.recipients[..2]);
    assert_eq!(due.next, Some(Timestamp(50)));
    let page = spool.due("one.example", Timestamp(50), None, 1).await.unwrap();
    assert_eq!((page.recipients[0].id, page.next), (first.recipients[0], Some(Timestamp(1))));
    let cursor = page.recipients.last().map(|it| (it.next_try, it.id));
    let page = spool.due("one.example", Timestamp(50), cursor, 10).await.unwrap();
    assert_eq!(
        page.recipients.iter().map(|it| it.id).collect::<Vec<_>>(),
        [first.recipients[1], later.recipients[0]]
    );
    assert_eq!(page.recipients[1].message, later.queue_id);
    assert_eq!(page.next, None);
    let destination =
        |domain: &str, time| Destination { domain: domain.into(), next_try: Timestamp(time) };
    assert_eq!(
        spool.destinations().await.unwrap(),
        [destination("one.example", 1), destination("two.example", 1)]
    );
}

/// Goes over a page of [`crate::store::CHANGE_PAGE`] messages.
#[tokio::test]
async fn a_change_to_all_reaches_all() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(directory.path())).unwrap();
    let count = crate::store::CHANGE_PAGE + 10;
    let notices = (0..count).map(|_| message(&["a@example.org"])).collect();
    let queued = spool.record(Vec::new(), notices).await.unwrap();
    assert_eq!(queued.len(), count);
    assert_eq!(spool.hold(Selection::All, "all").await.unwrap(), count as u64);
    assert_eq!(spool.hold(Selection::All, "all").await.unwrap(), 0);
    assert_eq!(spool.destinations().await.unwrap(), []);
    assert_eq!(spool.release(Selection::Message(queued[7].queue_id)).await.unwrap(), 1);
    assert_eq!(spool.release(Selection::All).await.unwrap(), count as u64 - 1);
    assert_eq!(spool.flush(Selection::All).await.unwrap(), 0, "all are due already");
    assert_eq!(spool.delete(Selection::All).await.unwrap(), count as u64);
    assert_eq!(spool.list(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_message_in_quarantine_is_released_alone() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(directory.path())).unwrap();
    let mut ids = Vec::new();
    for hold in [Hold::Hold("a look".into()), Hold::Quarantine("a virus".into())] {
        let mut message = message(&["x@example.org"]);
        message.hold = Some(hold);
        ids.push(spool.insert(message).await.unwrap().queue_id);
    }
    let states = async || -> Vec<String> {
        let all = spool.list(None, 9).await.unwrap();
        all.iter()
            .map(|one| format!("{} {:?}", one.recipients[0].state, one.reason.as_deref()))
            .collect()
    };
    assert_eq!(states().await, ["hold Some(\"a look\")", "quarantine Some(\"a virus\")"]);
    assert_eq!(spool.release(Selection::All).await.unwrap(), 1);
    assert_eq!(states().await, ["queued None", "quarantine Some(\"a virus\")"]);
    let loaded = spool.load(ids[1], None).await.unwrap().unwrap();
    assert_eq!(loaded.recipients[0].state, RecipientState::Quarantine);
    assert_eq!(spool.release(Selection::Message(ids[1])).await.unwrap(), 1);
    assert_eq!(states().await, ["queued None", "queued None"]);
}
