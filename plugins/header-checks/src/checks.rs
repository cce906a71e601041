//! The headers of one message, one after the other: what their values come to.

use std::collections::BTreeMap;

use facteur_plugin::{Address, Failure, Reply, Verdict};

use crate::action::{Action, action};

/// The longest reason that the contract takes, in bytes; the longest reply is half of it.
const REASON_LIMIT: usize = 1_024;
const TEXT_LIMIT: usize = 512;

/// One header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// As it is written.
    pub name: String,
    /// What tables are asked: "Name: value", in one line.
    pub line: String,
}

impl Header {
    /// From a header as it came. Bytes that aren't UTF-8 become U+FFFD.
    pub fn new(name: &[u8], value: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).into_owned();
        // In one piece, since a header may be as long as all headers may be.
        let mut line = String::with_capacity(name.len() + 2 + value.len());
        line.extend([&name, ": "]);
        for chunk in value.utf8_chunks() {
            // RFC 5322 section 2.2.3: unfolding takes out the CRLF, and leaves the blank.
            line.extend(chunk.valid().split("\r\n"));
            if !chunk.invalid().is_empty() {
                line.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Self { name, line }
    }
}

/// Something to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    Info(String),
    Warn(String),
    Hold(String),
    Redirect(Address),
    Bcc(Address),
    Edit(Edit),
}

/// An edit; numbers count from 0, as the contract's do: before any edit.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    Insert { number: u32, name: String, value: String },
    Replace { name: String, occurrence: u32, value: String },
    Remove { name: String, occurrence: u32 },
}

/// What the headers of one message come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    pub verdict: Verdict,
    pub effects: Vec<Effect>,
}

/// Looks each header up and reads what `find` gives for it. The first REJECT or DISCARD is the end.
///
/// # Errors
/// A table can't be asked, or has a value that isn't understood.
pub fn check(
    headers: impl IntoIterator<Item = Header>,
    mut find: impl FnMut(&Header) -> Result<Option<String>, Failure>,
) -> Result<Checked, Failure> {
    let mut effects = Vec::new();
    // How many of each name there were so far.
    let mut named: BTreeMap<String, u32> = BTreeMap::new();
    for (number, header) in headers.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let count = named.entry(header.name.to_ascii_lowercase()).or_default();
        let occurrence = *count;
        *count += 1;
        let Some(value) = find(&header)? else { continue };
        let action = action(&value).map_err(|why| {
            Failure::permanent(format!("the value {:?}: {why}", cut(&value, 200)))
        })?;
        let line = cut(&header.line, 200);
        let said = |what: &str, text: &str| format!("{what}: header {line}: {text}");
        let name = header.name.clone();
        let edit = match action {
            Action::Dunno => continue,
            Action::Reject(status, text) => {
                let text = if text.is_empty() { "message content rejected" } else { text };
                let verdict = Verdict::Reject(Reply::new(550, status, printable(text, TEXT_LIMIT)));
                return Ok(Checked { verdict, effects });
            }
            Action::Discard(text) => {
                effects.push(Effect::Info(said("discard", text)));
                return Ok(Checked { verdict: Verdict::Discard, effects });
            }
            Action::Hold(text) => {
                let reason =
                    if text.is_empty() { format!("header {line}") } else { text.to_owned() };
                effects.push(Effect::Hold(printable(&reason, REASON_LIMIT)));
                continue;
            }
            Action::Redirect(to) => {
                effects.push(Effect::Redirect(to));
                continue;
            }
            Action::Bcc(to) => {
                effects.push(Effect::Bcc(to));
                continue;
            }
            Action::Info(text) => {
                effects.push(Effect::Info(said("info", text)));
                continue;
            }
            Action::Warn(text) => {
                effects.push(Effect::Warn(said("warning", text)));
                continue;
            }
            Action::Remove(text) => {
                effects.extend(text.map(|text| Effect::Info(said("strip", text))));
                Edit::Remove { name, occurrence }
            }
            Action::Prepend(name, value) => {
                Edit::Insert { number, name: name.to_owned(), value: value.to_owned() }
            }
            Action::Replace(other, value) if other.eq_ignore_ascii_case(&name) => {
                Edit::Replace { name: other.to_owned(), occurrence, value: value.to_owned() }
            }
            Action::Replace(other, value) => {
                let (other, value) = (other.to_owned(), value.to_owned());
                effects.push(Effect::Edit(Edit::Insert { number, name: other, value }));
                Edit::Remove { name, occurrence }
            }
        };
        effects.push(Effect::Edit(edit));
    }
    Ok(Checked { verdict: Verdict::Dunno, effects })
}

/// The beginning of a text, of at most so many bytes.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The same, in one line: a sender's bytes may come by a pattern's groups.
fn printable(text: &str, limit: usize) -> String {
    cut(text, limit).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> Vec<Header> {
        let header = |line: &&str| {
            let (name, value) = line.split_once(": ").expect("a header");
            Header::new(name.as_bytes(), value.as_bytes())
        };
        lines.iter().map(header).collect()
    }

    /// With a table of two columns: what a header must contain, and the value.
    fn checked(table: &[(&str, &str)], lines: &[&str]) -> Result<Checked, Failure> {
        check(headers(lines), |header| {
            let found = table.iter().find(|(part, _)| header.line.contains(part));
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    fn effects(table: &[(&str, &str)], lines: &[&str]) -> Vec<Effect> {
        let outcome = checked(table, lines).expect("it can be decided");
        assert_eq!(outcome.verdict, Verdict::Dunno);
        outcome.effects
    }

    #[test]
    fn headers_are_asked_in_one_line() {
        assert_eq!(Header::new(b"Subject", b"a\r\n\tb\r\n c").line, "Subject: a\tb c");
        assert_eq!(Header::new(b"X", b"\xff").line, "X: \u{fffd}");
    }

    #[test]
    fn the_first_refusal_is_the_end() {
        let outcome = checked(
            &[("A:", "WARN look"), ("B:", "REJECT 5.6.0 no"), ("C:", "DISCARD")],
            &["A: x", "B: x", "C: x"],
        )
        .expect("it can be decided");
        assert_eq!(outcome.verdict, Verdict::Reject(Reply::new(550, "5.6.0", "no")));
        assert_eq!(outcome.effects, [Effect::Warn("warning: header A: x: look".into())]);
        let outcome = checked(&[("B:", "REJECT")], &["B: x"]).expect("it can be decided");
        assert_eq!(
            outcome.verdict,
            Verdict::Reject(Reply::new(550, "5.7.1", "message content rejected"))
        );
        let outcome = checked(&[("C:", "DISCARD junk")], &["A: x", "C: x", "C: y"])
            .expect("it can be decided");
        assert_eq!(outcome.verdict, Verdict::Discard);
    }

    #[test]
    fn edits_name_the_header_that_matched() {
        let lines = ["To: a", "received: one", "Received: two", "Subject: x"];
        let remove =
            |occurrence| Effect::Edit(Edit::Remove { name: "Received".into(), occurrence });
        assert_eq!(effects(&[("two", "IGNORE")], &lines), [remove(1)]);
        let insert = |number, name: &str, value: &str| {
            Effect::Edit(Edit::Insert { number, name: name.into(), value: value.into() })
        };
        assert_eq!(
            effects(&[("Subject", "PREPEND X-Seen: yes")], &lines),
            [insert(3, "X-Seen", "yes")]
        );
        assert_eq!(
            effects(&[("Subject", "REPLACE subject: y")], &lines),
            [Effect::Edit(Edit::Replace {
                name: "subject".into(),
                occurrence: 0,
                value: "y".into()
            })]
        );
        // Another name takes the place.
        assert_eq!(
            effects(&[("two", "REPLACE X-Was: 2")], &lines),
            [insert(2, "X-Was", "2"), remove(1)]
        );
    }

    #[test]
    fn actions_add_up() {
        let table =
            [("A:", "HOLD look"), ("B:", "BCC x@y.org"), ("C:", "STRIP long"), ("D:", "DUNNO")];
        let expected = [
            Effect::Hold("look".into()),
            Effect::Bcc(Address::new("x", "y.org")),
            Effect::Info("strip: header C: x: long".into()),
            Effect::Edit(Edit::Remove { name: "C".into(), occurrence: 0 }),
        ];
        assert_eq!(effects(&table, &["A: x", "B: x", "C: x", "D: x", "E: x"]), expected);
    }

    #[test]
    fn what_isnt_understood_is_never_a_yes() {
        let failure = checked(&[("A:", "FILTER x:y")], &["A: x"]).unwrap_err();
        assert!(!failure.transient && failure.reason.contains("FILTER"), "{failure:?}");
        let failure = check(headers(&["A: x"]), |_| Err(Failure::transient("the table is away")))
            .unwrap_err();
        assert!(failure.transient);
    }

    #[test]
    fn texts_are_fit_to_be_told() {
        let long = format!("REJECT {}\u{7}{}", "é".repeat(200), "x".repeat(900));
        let outcome = checked(&[("A:", &long)], &["A: x"]).expect("it can be decided");
        let Verdict::Reject(reply) = outcome.verdict else { panic!("{outcome:?}") };
        assert!(
            reply.text.len() <= TEXT_LIMIT && !reply.text.chars().any(char::is_control),
            "{}",
            reply.text
        );
    }
}
