//! What a recording keeps, and what it says of whom.

use facteur_policy::Content;
use serde_json::json;

use super::dialogue::Said;
use super::{Extent, Part, Redaction, Summary, What};

#[test]
fn a_message_is_kept_byte_for_byte_or_not_at_all() {
    let bytes: Vec<u8> = (0..=255).collect();
    let message = [b"Subject: x\r\nX: y\r\n\r\n".as_slice(), &bytes].concat();
    for (kept, known) in [(Extent::Size, 0), (Extent::Headers, 20), (Extent::Whole, 276)] {
        let said = Said::from(What::Message(Part::of(&message, kept).unwrap()));
        let text = serde_json::to_string(&said).unwrap();
        let back: Said = serde_json::from_str(&text).unwrap();
        assert_eq!(back, said);
        let What::Message(part) = back.what else { panic!("{text}") };
        assert_eq!(part.size(), 276);
        assert_eq!(part.read(0, known).unwrap(), message[..known]);
        assert_eq!(part.read(0, 276).is_ok(), kept == Extent::Whole, "what isn't there is told");
        assert_eq!(part.read(300, 10).unwrap(), b"");
    }
}

#[test]
fn names_are_replaced_where_they_are_names() {
    let mut redaction = Redaction::default();
    let mut session = json!({
        "sender": "Jean.Dupont@sender.test",
        "recipients": ["a@local.test", "louen+lists@local.test", "postmaster@local.test", "\"odd one\"@local.test"],
        "tape": [[["find", "aliases", ["louen+lists", "louen", "@local.test"]], {"value": "admin"}]],
        "verdict": "refused: 550 5.1.1 <a@local.test>: a user is unknown",
        "size": 12,
    });
    redaction.redact(&mut session);
    assert_eq!(
        session,
        json!({
            "sender": "user4@sender.test",
            "recipients": ["user1@local.test", "user2+user3@local.test", "postmaster@local.test", "\"odd one\"@local.test"],
            "tape": [[["find", "aliases", ["user2+user3", "user2", "@local.test"]], {"value": "admin"}]],
            "verdict": "refused: 550 5.1.1 <user1@local.test>: a user is unknown",
            "size": 12,
        })
    );
    // The next session's names fit.
    let mut next = json!({"sender": "jean.dupont@sender.test"});
    redaction.redact(&mut next);
    assert_eq!(next, json!({"sender": "user4@sender.test"}));
}

#[test]
fn the_summary_counts_what_changed() {
    let summary = Summary { sessions: 2, verdicts: 9, ..Summary::default() };
    assert_eq!(
        (summary.is_changed(), summary.shown().as_str()),
        (false, "2 sessions, 9 verdicts: 0 changed")
    );
    let summary = Summary { stricter: 1, other: 1, untold: 3, ..summary };
    let told = "2 sessions, 9 verdicts: 2 changed (1 stricter, 0 laxer, 1 other), 3 can't be told";
    assert_eq!((summary.is_changed(), summary.shown().as_str()), (true, told));
}
