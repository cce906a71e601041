//! What the spool has taken is there after a power loss, whatever the moment; and the same test
//! fails with the sync taken out, so it can.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use facteur_lossyfs::{IMAGE, LIE, ROOT, library, restore, snapshot};
use facteur_spool::{QueueId, Spool, SpoolConfig, SpoolError};

mod content;

/// What a run of the writer said before it was killed.
struct Said {
    taken: HashMap<u64, QueueId>,
    removed: HashSet<u64>,
}

/// What was found of it after the power came back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    whole: usize,
    missing: Vec<u64>,
}

fn writer() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let writer = test.ancestors().nth(2).unwrap().join("examples/spool_writer");
    assert!(
        writer.is_file(),
        "{} is missing: run `cargo build -p facteur-lossyfs --examples` with the same target \
         directory",
        writer.display()
    );
    writer
}

/// Runs the writer under the layer and kills it when it has said so many lines.
fn run(directory: &Path, lines: usize, lie: Option<&str>) -> Said {
    let (root, image) = (directory.join("spool"), directory.join("image"));
    std::fs::create_dir_all(&root).unwrap();
    snapshot(&root, &image).unwrap();
    let mut command = Command::new(writer());
    command.arg(&root).env("LD_PRELOAD", library().unwrap()).env(ROOT, &root).env(IMAGE, &image);
    command.stdout(Stdio::piped());
    if let Some(lie) = lie {
        command.env(LIE, lie);
    }
    let mut child = command.spawn().unwrap();
    let mut said = Said { taken: HashMap::new(), removed: HashSet::new() };
    for (seen, line) in BufReader::new(child.stdout.take().unwrap()).lines().enumerate() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["-", number] => {
                said.removed.insert(number.parse().unwrap());
            }
            [queue_id, number, size] => {
                let number = number.parse().unwrap();
                assert_eq!(content::content(number).len().to_string(), size);
                said.taken.insert(number, queue_id.parse().unwrap());
            }
            // The kill came in the middle of a line.
            _ => {}
        }
        // What it says before the kill arrives counts as well: the pipe is read to its end.
        if seen + 1 == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(said.taken.len() + said.removed.len() >= lines, "the writer ended by itself");
    said
}

/// Brings the power back and looks for what was said.
fn look(directory: &Path, said: &Said) -> Found {
    let restored = directory.join("restored");
    restore(&directory.join("spool"), &directory.join("image"), &restored).unwrap();
    let mut config = SpoolConfig::new(&restored);
    config.reserve = 1 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut found = Found::default();
        let spool = match Spool::open(&config) {
            Ok(spool) => spool,
            // A disk that lies leaves anything.
            Err(SpoolError::Damaged { .. }) => {
                found.missing = said.taken.keys().copied().collect();
                return found;
            }
            Err(error) => panic!("{error}"),
        };
        for (number, queue_id) in &said.taken {
            let loaded = spool.load(*queue_id, None).await;
            match loaded {
                Ok(Some(message)) => {
                    assert_eq!(message.recipients.len(), 1);
                    assert_eq!(message.recipients[0].address.local(), format!("user{number}"));
                    let mut body = Vec::new();
                    let mut reader = message.body.open().await.unwrap();
                    while let Some(chunk) = reader.next().await.unwrap() {
                        body.extend_from_slice(&chunk);
                    }
                    assert_eq!(body, content::content(*number), "message {number}");
                    found.whole += 1;
                }
                // It was asked to go, and may have.
                Ok(None) if said.removed.contains(number) => {}
                Ok(None) | Err(SpoolError::Corrupt { .. }) => found.missing.push(*number),
                Err(error) => panic!("message {number}: {error}"),
            }
        }
        spool.close().await.unwrap();
        found
    })
}

fn random(below: u64) -> usize {
    usize::try_from(getrandom::u64().unwrap() % below).unwrap()
}

#[test]
fn what_was_taken_survives_a_power_loss() {
    let points = if std::env::var_os("FACTEUR_TEST_LONG").is_some_and(|value| value == "1") {
        200
    } else {
        20
    };
    for _ in 0..points {
        let directory = tempfile::tempdir().unwrap();
        let lines = 1 + random(300);
        let said = run(directory.path(), lines, None);
        let found = look(directory.path(), &said);
        assert_eq!(found.missing, Vec::<u64>::new(), "killed after {lines} lines");
        assert!(found.whole > 0 || said.taken.len() == said.removed.len());
    }
}

#[test]
fn with_every_sync_taken_out_messages_are_lost() {
    let directory = tempfile::tempdir().unwrap();
    let said = run(directory.path(), 100, Some("1"));
    assert_eq!(look(directory.path(), &said).whole, 0);
}

#[test]
fn with_the_sync_of_the_log_taken_out_messages_are_lost() {
    let directory = tempfile::tempdir().unwrap();
    let said = run(directory.path(), 100, Some("queue.db-wal"));
    assert_ne!(look(directory.path(), &said).missing, Vec::<u64>::new());
}

#[test]
fn with_the_sync_of_the_database_taken_out_messages_are_lost() {
    let directory = tempfile::tempdir().unwrap();
    // Long enough for the log to begin anew over what was moved into the database.
    let said = run(directory.path(), 1000, Some("queue.db"));
    assert_ne!(look(directory.path(), &said).missing, Vec::<u64>::new());
}

#[test]
fn with_the_sync_of_body_files_taken_out_large_messages_are_lost() {
    // The content, and the names.
    for lie in ["bodies/", "bodies"] {
        let directory = tempfile::tempdir().unwrap();
        let said = run(directory.path(), 100, Some(lie));
        let found = look(directory.path(), &said);
        assert_ne!(found.missing, Vec::<u64>::new(), "{lie}");
        assert!(
            found.missing.iter().all(|number| number % 5 == 4),
            "small ones need no file: {found:?}"
        );
    }
}
