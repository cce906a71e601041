//! A disk that is really full: a small tmpfs, in a mount namespace of the test's own.

use facteur_smtp::status;
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;

/// Names the small file system to the part of the test that runs on it.
const SMALL_DISK: &str = "FACTEUR_TEST_SMALL_DISK";

#[test]
fn a_full_disk_loses_nothing_and_goes_on_with_room() {
    let directory = tempfile::tempdir().unwrap();
    // As root in a namespace of mounts, otherwise in one of users, too.
    let namespaces =
        if rustix::process::geteuid().is_root() { vec![] } else { vec!["--map-root-user"] };
    let output = Command::new("unshare")
        .arg("--mount")
        .args(namespaces)
        .args([
            "sh",
            "-c",
            "mount -t tmpfs -o size=8m none \"$1\" && exec \"$2\" --exact \"$3\" --ignored \
             --nocapture",
            "sh",
        ])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .arg("tests::disk::on_the_small_disk")
        .env(SMALL_DISK, directory.path())
        .output()
        .expect("unshare (util-linux) is needed");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn on_the_small_disk() {
    let Some(disk) = std::env::var_os(SMALL_DISK) else { panic!("run by the test above") };
    let disk = Path::new(&disk);
    let config = SpoolConfig {
        path: disk.join("spool"),
        message_limit: 0,
        reserve: 2 << 20,
        log: 512 << 10,
    };
    let spool = Spool::open(&config).unwrap();
    let free = || {
        let found = rustix::fs::statvfs(disk).unwrap();
        found.f_bavail * found.f_frsize
    };
    assert!(free() < 6 << 20, "the reserve is taken from the disk");

    // New mail until the very end: nothing stops it before, with a limit of 0.
    let mut kept = Vec::new();
    for size in [60_000, SMALL_BODY + 10_000, 100] {
        loop {
            let mut body = spool.body();
            let content = vec![b'0' + (kept.len() % 10) as u8; size];
            let body = match body.write(content.clone()).await {
                Ok(()) => body.finish().await,
                Err(error) => Err(error),
            };
            let mut message = message(&["a@example.org", "b@example.org"]);
            let inserted = match body {
                Ok(body) => {
                    message.body = body;
                    spool.insert(message).await
                }
                Err(error) => Err(error),
            };
            match inserted {
                Ok(queued) => kept.push((queued, content)),
                Err(SpoolError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(kept.len() > 50, "{}", kept.len());
    assert!(!spool.is_failed());

    // Fill what is left to the last octet, so that only the reserve can help.
    let ballast = disk.join("ballast");
    let error =
        std::io::copy(&mut std::io::repeat(0), &mut std::fs::File::create(&ballast).unwrap())
            .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let next_try = Timestamp(99);
    for (queued, _) in &kept {
        let reply = Reply::new(451, status::SYSTEM, "later ".repeat(100));
        let deferred = Update::Deferred { next_try, reply, remote: None };
        let outcomes = vec![
            RecipientUpdate { recipient: queued.recipients[0], what: Update::Done },
            RecipientUpdate { recipient: queued.recipients[1], what: deferred },
        ];
        spool.record(outcomes, Vec::new()).await.unwrap();
    }
    assert!(!spool.is_failed());

    // Room comes back.
    std::fs::remove_file(&ballast).unwrap();
    let gone: Vec<_> = kept.drain(..30).collect();
    for (queued, _) in &gone {
        spool.record(done(&queued.recipients), Vec::new()).await.unwrap();
    }
    let patience = Instant::now() + Duration::from_secs(20);
    while spool.space().is_err() || !config.path.join("reserve").exists() {
        assert!(
            Instant::now() < patience,
            "{} octets are free and the reserve is not back",
            free()
        );
        // The look at the disk is fresh for a second.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The reserve may have taken the room that the last look saw.
    let queued = loop {
        match spool.insert(message(&["c@example.org"])).await {
            Ok(queued) => break queued,
            Err(SpoolError::Full) if Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(spool.load(queued.queue_id, None).await.unwrap().is_some());
    spool.close().await.unwrap();
    drop(spool);

    let spool = Spool::open(&config).unwrap();
    assert_eq!(spool.list(None, 10_000).await.unwrap().len(), kept.len() + 1);
    for (queued, content) in &kept {
        let loaded = spool.load(queued.queue_id, None).await.unwrap().unwrap();
        assert_eq!(loaded.recipients.len(), 1);
        assert_eq!(loaded.recipients[0].next_try, next_try);
        let read = loaded.body.open().await.unwrap().read_at(0, usize::MAX).await.unwrap();
        assert!(read == content);
    }
}
