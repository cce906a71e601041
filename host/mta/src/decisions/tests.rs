//! What is kept, for how long, and how it reads.

use std::time::{Duration, SystemTime};

use facteur_policy::{Facts, SessionFacts, TraceStep};

use super::journal::Journal;
use super::{Decisions, Kind, Record, find, tell};
use crate::config::DecisionsSettings;

const SETTINGS: DecisionsSettings =
    DecisionsSettings { size: 16 << 10, facts: Facts::OfRefusals, keep: Duration::from_hours(1) };

fn step(
    plugin: Option<&str>,
    question: &'static str,
    about: Option<&str>,
    answer: &'static str,
) -> TraceStep {
    TraceStep {
        plugin: plugin.map(Into::into),
        question: question.into(),
        about: about.map(Into::into),
        answer: answer.into(),
        micros: if plugin.is_some() { 1_234 } else { 0 },
        facts: vec!["session.trusted = false".into()],
        shadow: plugin == Some("new"),
    }
}

fn record(session: &str, id: Option<&str>) -> Record {
    let facts = SessionFacts::new(
        session.into(),
        "0.0.0.0:25".into(),
        "192.0.2.1:1025".parse().unwrap(),
        false,
    );
    let steps = vec![
        step(Some("restrictions"), "rcpt", Some("louen@local.test"), "no opinion"),
        step(Some("new"), "rcpt", Some("louen@local.test"), "reject 550 5.7.1 no"),
        step(None, "RCPT", Some("louen@local.test"), "accepted"),
    ];
    let record =
        Record::session(Kind::Envelope, &facts, steps, "250 2.0.0 Ok: queued as 6FEE36C37B".into());
    Record { id: id.map(Into::into), sender: Some("a@sender.test".into()), ..record }
}

#[test]
fn a_story_reads_like_one() {
    let record = record("s1-1", Some("6FEE36C37B"));
    let told = tell(std::slice::from_ref(&record), false, |_| "2026-11-23 06:40:12".into());
    let depended = tell(&[record], true, |_| "2026-11-23 06:40:12".into());
    assert!(
        depended.contains("\n                  because session.trusted = false\n"),
        "{depended}"
    );
    assert_eq!(
        told,
        "\
2026-11-23 06:40:12  session s1-1, client 192.0.2.1 at 0.0.0.0:25
  from <a@sender.test>
  RCPT <louen@local.test>: accepted
    restrictions  rcpt louen@local.test  no opinion  (1.234 ms)
    new           rcpt louen@local.test  in the shadow: reject 550 5.7.1 no  (1.234 ms)
  => 250 2.0.0 Ok: queued as 6FEE36C37B
"
    );
}

#[tokio::test]
async fn what_was_kept_is_found_by_message_and_by_session() {
    let folder = tempfile::tempdir().unwrap();
    let decisions =
        Decisions::open(folder.path(), DecisionsSettings { size: 1 << 20, ..SETTINGS }).unwrap();
    decisions.keep(Record { kind: Kind::Session, ..record("s1-1", None) });
    decisions.keep(record("s1-1", Some("6FEE36C37B")));
    decisions.keep(record("s1-11", Some("6FEE36C37C")));
    decisions.keep(Record::delivery(
        "6FEE36C37B".parse().unwrap(),
        &"a@b.test".parse().unwrap(),
        Vec::new(),
        "sent: 250 2.0.0 Ok".into(),
    ));
    decisions.flush().await;
    let kinds = |name: &str| {
        find(folder.path(), name).unwrap().iter().map(|one| one.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("6FEE36C37B"), [Kind::Session, Kind::Envelope, Kind::Delivery]);
    assert_eq!(kinds("s1-1"), [Kind::Session, Kind::Envelope]);
    assert_eq!(kinds("s1-11"), [Kind::Envelope]);
    assert!(kinds("s1-2").is_empty());
    decisions.close();
    // They outlive the process, and the next one's are found beside them.
    let decisions =
        Decisions::open(folder.path(), DecisionsSettings { size: 1 << 20, ..SETTINGS }).unwrap();
    decisions.keep(record("s1-2", None));
    decisions.close();
    assert_eq!(kinds("s1-2").len() + kinds("s1-1").len(), 3);
}

#[test]
fn the_oldest_goes_when_there_is_too_much_or_it_is_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let size = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let mut journal = Journal::open(folder.path(), SETTINGS).unwrap();
    for number in 0..500 {
        journal.write(&record(&format!("s1-{number:x}"), None)).unwrap();
    }
    journal.flush().unwrap();
    assert!(size() <= SETTINGS.size + SETTINGS.size / 8, "{}", size());
    assert!(find(folder.path(), "s1-0").unwrap().is_empty());
    assert_eq!(find(folder.path(), "s1-1f3").unwrap().len(), 1);
    // A new start looks at the age.
    drop(journal);
    let _journal =
        Journal::open(folder.path(), DecisionsSettings { keep: Duration::ZERO, ..SETTINGS })
            .unwrap();
    assert_eq!(size(), 0);
}

#[test]
fn what_a_clock_wrote_that_was_ahead_counts_as_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("00000001.jsonl");
    std::fs::write(&path, "of then\n").unwrap();
    let then = SystemTime::now() + Duration::from_hours(24 * 365);
    std::fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
    drop(Journal::open(folder.path(), SETTINGS).unwrap());
    assert!(path.metadata().unwrap().modified().unwrap() <= SystemTime::now());
    let shortly = DecisionsSettings { keep: Duration::ZERO, ..SETTINGS };
    drop(Journal::open(folder.path(), shortly).unwrap());
    assert!(!path.exists(), "it stays for a year");
}
