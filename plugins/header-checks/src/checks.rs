//! The headers of one message, one after the other: what their values come to.

use std::collections::BTreeMap;

use facteur_plugin::{
    ContentVerdict, Failure, Reply, log, lookup, message, message_edit, transaction,
};

use crate::action::{Action, action};

/// As much of a header as the log is told, in bytes.
const TOLD: usize = 200;

/// Looks each header up in the tables, and does what they say. The first REJECT or DISCARD is the
/// end.
///
/// # Errors
/// A table can't be asked, or has a value that isn't understood.
pub fn check(tables: &[String]) -> Result<ContentVerdict, Failure> {
    // How many of each name there were so far.
    let mut named: BTreeMap<String, u32> = BTreeMap::new();
    for (number, (name, value)) in (0_u32..).zip(message::all_headers()) {
        let name = String::from_utf8_lossy(&name).into_owned();
        let count = named.entry(name.to_ascii_lowercase()).or_default();
        let header = Header { number, occurrence: *count, line: line(&name, &value), name };
        *count += 1;
        let Some(found) = lookup::find_in(tables, std::slice::from_ref(&header.line))? else {
            continue;
        };
        let action = action(&found.value).map_err(|why| {
            Failure::permanent(format!("the value {:?}: {why}", cut(&found.value)))
        })?;
        if let Some(verdict) = header.act(action)? {
            return Ok(verdict);
        }
    }
    Ok(ContentVerdict::NoOpinion)
}

/// What tables are asked: "Name: value", in one line. Bytes that aren't UTF-8 become U+FFFD.
fn line(name: &str, value: &[u8]) -> String {
    // In one piece, since a header may be as long as all headers may be.
    let mut line = String::with_capacity(name.len() + 2 + value.len());
    line.extend([name, ": "]);
    for chunk in value.utf8_chunks() {
        // RFC 5322 section 2.2.3: unfolding takes out the CRLF, and leaves the blank.
        line.extend(chunk.valid().split("\r\n"));
        if !chunk.invalid().is_empty() {
            line.push(char::REPLACEMENT_CHARACTER);
        }
    }
    line
}

/// One header, and where it stands.
struct Header {
    /// Of all headers, from 0.
    number: u32,
    /// Of those with this name, from 0.
    occurrence: u32,
    /// As it is written.
    name: String,
    line: String,
}

impl Header {
    /// Does it. The verdict, if it is one.
    fn act(&self, action: Action<'_>) -> Result<Option<ContentVerdict>, Failure> {
        let Self { number, occurrence, name, .. } = self;
        match action {
            Action::Dunno => {}
            Action::Reject(status, text) => {
                let text = if text.is_empty() { "message content rejected" } else { text };
                return Ok(Some(ContentVerdict::Reject(Reply::new(550, status, text))));
            }
            Action::Discard(text) => {
                log::info(self.said("discard", text));
                return Ok(Some(ContentVerdict::Discard));
            }
            Action::Hold("") => transaction::hold(format!("header {}", cut(&self.line))),
            Action::Hold(text) => transaction::hold(text),
            Action::Redirect(to) => transaction::redirect(&to)?,
            Action::Bcc(to) => transaction::bcc(&to)?,
            Action::Info(text) => log::info(self.said("info", text)),
            Action::Warn(text) => log::warn(self.said("warning", text)),
            Action::Remove(text) => {
                if let Some(text) = text {
                    log::info(self.said("strip", text));
                }
                message_edit::remove_header(name, Some(*occurrence))?;
            }
            Action::Prepend(name, value) => message_edit::insert_header(*number, name, value)?,
            Action::Replace(other, value) if other.eq_ignore_ascii_case(name) => {
                message_edit::replace_header(other, *occurrence, value)?;
            }
            Action::Replace(other, value) => {
                message_edit::insert_header(*number, other, value)?;
                message_edit::remove_header(name, Some(*occurrence))?;
            }
        }
        Ok(None)
    }

    fn said(&self, what: &str, text: &str) -> String {
        format!("{what}: header {}: {text}", cut(&self.line))
    }
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TOLD)]
}

#[cfg(test)]
mod tests {
    use facteur_plugin::testing::Host;

    use super::*;

    /// With a table of two columns: what a header must contain, and the value.
    fn site(table: &'static [(&str, &str)], headers: &str) -> Host {
        Host::new().message(headers).table_of("t", |line| {
            let found = table.iter().find(|(part, _)| line.contains(part));
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn checked(host: &Host) -> Result<ContentVerdict, Failure> {
        host.run(|| check(&["t".to_owned()]))
    }

    /// What was done, where there is no verdict.
    fn done(table: &'static [(&str, &str)], headers: &str) -> Vec<String> {
        let host = site(table, headers);
        assert_eq!(checked(&host), Ok(ContentVerdict::NoOpinion));
        host.did()
    }

    #[test]
    fn headers_are_asked_in_one_line() {
        assert_eq!(line("Subject", b"a\r\n\tb\r\n c"), "Subject: a\tb c");
        assert_eq!(line("X", b"\xff"), "X: \u{fffd}");
    }

    #[test]
    fn the_first_refusal_is_the_end() {
        let host = site(
            &[("A:", "WARN look"), ("B:", "REJECT 5.6.0 no"), ("C:", "DISCARD")],
            "A: x\nB: x\nC: x\n",
        );
        let refused = |status, text| Ok(ContentVerdict::Reject(Reply::new(550, status, text)));
        assert_eq!(checked(&host), refused("5.6.0", "no"));
        assert_eq!(host.log(), ["warn warning: header A: x: look"]);
        let host = site(&[("B:", "REJECT")], "B: x\n");
        assert_eq!(checked(&host), refused("5.7.1", "message content rejected"));
        let host = site(&[("C:", "DISCARD junk")], "A: x\nC: x\nC: y\n");
        assert_eq!(checked(&host), Ok(ContentVerdict::Discard));
        assert_eq!(host.log(), ["info discard: header C: x: junk"]);
    }

    #[test]
    fn edits_name_the_header_that_matched() {
        let lines = "To: a\nreceived: one\nReceived: two\nSubject: x\n";
        assert_eq!(done(&[("two", "IGNORE")], lines), ["remove-header 1 Received"]);
        assert_eq!(
            done(&[("Subject", "PREPEND X-Seen: yes")], lines),
            ["insert-header 3 X-Seen: yes"]
        );
        assert_eq!(
            done(&[("Subject", "REPLACE subject: y")], lines),
            ["replace-header 0 subject: y"]
        );
        // Another name takes the place.
        assert_eq!(
            done(&[("two", "REPLACE X-Was: 2")], lines),
            ["insert-header 2 X-Was: 2", "remove-header 1 Received"]
        );
    }

    #[test]
    fn actions_add_up() {
        let host = site(
            &[("A:", "HOLD look"), ("B:", "BCC x@y.org"), ("C:", "STRIP long"), ("D:", "DUNNO")],
            "A: x\nB: x\nC: x\nD: x\nE: x\n",
        );
        assert_eq!(checked(&host), Ok(ContentVerdict::NoOpinion));
        assert_eq!(host.did(), ["hold look", "bcc x@y.org", "remove-header 0 C"]);
        assert_eq!(host.log(), ["info strip: header C: x: long"]);
    }

    #[test]
    fn what_isnt_understood_is_never_a_yes() {
        let failure = checked(&site(&[("A:", "FILTER x:y")], "A: x\n")).unwrap_err();
        assert!(!failure.transient && failure.reason.contains("FILTER"), "{failure:?}");
        let failure = checked(&Host::new().message("A: x\n").broken_table("t")).unwrap_err();
        assert!(failure.transient);
    }
}
