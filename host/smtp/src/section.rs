//! The header section of a message on its way in: made what everybody will take it for.
//!
//! Invariants of what comes out:
//! - Headers end at an empty line, by the rule of [`crate::Fields`]. Where something else ends
//!   them, an empty line is put before it; so whatever is written above the message, such as a
//!   `Received:`, never swallows a line of it, and no reader takes for a header what a filter took
//!   for body.
//! - `From ` lines at the beginning, which old mail systems put there, are `X-Mailbox-Line:`
//!   fields.
//! - No blank stands between a name and its colon, where not every reader takes one.
//! - Fields that belong to the envelope or to a mailbox file ([`DROPPED`]) are gone (Postfix:
//!   message_drop_headers).
//! - Taken in again, it comes out the same.
//!
//! However the input is split, the octets that come out are the same. No more is kept of it than
//! the beginning of a line. What has to be added, such as a missing date, is its owner's to write,
//! who has the clock.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use crate::fields::Line;
use crate::reply::Reply;
use crate::status;
use crate::stuffing::MAX_LINE;

/// The longest header section that is taken, in octets, its empty line not counted. Far more than
/// honest mail has, and little enough for a plugin's sandbox; Sendmail takes 32 KiB, Exim 1 MiB.
pub const MAX_SECTION: usize = 1 << 20;
/// The most fields: a hundred times what honest mail has. A plugin that asks about each of them
/// comes to an end in its time.
pub const MAX_FIELDS: usize = 30_000;
/// Fields that aren't handed on, in lower case: who got a blind copy, and what whoever delivers a
/// message writes itself.
pub const DROPPED: [&str; 4] = ["bcc", "resent-bcc", "return-path", "content-length"];

/// Takes the content of one message as it comes.
#[derive(Debug, Default)]
pub struct HeaderSection {
    place: Place,
    /// There was a field: a folded line belongs to it.
    has_field: bool,
    /// The field that the current line belongs to isn't handed on.
    dropping: bool,
    /// The beginning of a line of which it isn't known yet what it is.
    held: BytesMut,
    /// Octets of the section so far.
    size: usize,
    fields: usize,
    hops: usize,
    was_delivered: bool,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    LineStart,
    WithinLine,
    Body,
}

/// Fields that a message should have, and which of them it has.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    resent: bool,
    /// By the places of [`Seen::NAMES`]: plain, and with `Resent-`.
    plain: [bool; 3],
    again: [bool; 3],
}

/// Fields that a message should have and hasn't (RFC 5322 section 3.6). Of one that was sent again
/// it is the fields of the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What stands before their names: `Resent-` or nothing.
    pub prefix: &'static str,
    /// `Message-ID:`
    pub message_id: bool,
    /// `Date:`
    pub date: bool,
    /// `From:`
    pub from: bool,
}

/// What came out of a piece of content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The next octets.
    pub head: Bytes,
    /// The headers end here and lack these: whoever adds them writes them here.
    pub missing: Option<Missing>,
    /// The octets after that.
    pub rest: Bytes,
}

/// Why a message can't be taken for its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadersError {
    /// More octets than [`MAX_SECTION`].
    #[error("more than {MAX_SECTION} octets of headers")]
    TooLarge,
    /// More fields than [`MAX_FIELDS`].
    #[error("more than {MAX_FIELDS} headers")]
    TooMany,
    /// More `Received:` fields than the caller lets pass (RFC 5321 section 6.3).
    #[error("too many hops")]
    TooManyHops,
}

impl HeadersError {
    /// The final reply.
    pub fn reply(self) -> Reply {
        match self {
            Self::TooLarge => Reply::new(552, status::TOO_BIG, "Error: message headers too big"),
            Self::TooMany => Reply::new(552, status::TOO_BIG, "Error: too many message headers"),
            Self::TooManyHops => Reply::new(554, status::ROUTING_LOOP, "Error: too many hops"),
        }
    }
}

impl HeaderSection {
    /// How many `Received:` fields there are: servers that the message has passed.
    pub fn hops(&self) -> usize {
        self.hops
    }

    /// Octets of the section so far.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Fields so far.
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// Whether there is a `Delivered-To:` field: only then can the message have been here before.
    pub fn was_delivered(&self) -> bool {
        self.was_delivered
    }

    /// Takes the next content: CRLF line ends only. What isn't changed isn't copied.
    ///
    /// # Errors
    /// There is too much of headers: what comes after that is of no use.
    pub fn pass(&mut self, content: Bytes) -> Result<Passed, HeadersError> {
        if self.place == Place::Body {
            return Ok(Passed { rest: content, ..Passed::default() });
        }
        let content = if self.held.is_empty() {
            content
        } else {
            let mut whole = self.held.split();
            whole.extend_from_slice(&content);
            whole.freeze()
        };
        // What was changed, with all that stands before it; the rest is kept, from there on.
        let mut changed = BytesMut::new();
        let mut kept = 0;
        let mut at = 0;
        while at < content.len() {
            let line = &content[at..];
            if self.place == Place::WithinLine {
                let length = memchr(b'\n', line);
                if length.is_some() {
                    self.place = Place::LineStart;
                }
                let next = length.map_or(content.len(), |length| at + length + 1);
                self.size += next - at;
                if self.size > MAX_SECTION {
                    return Err(HeadersError::TooLarge);
                }
                at = next;
                if self.dropping {
                    kept = at;
                }
                continue;
            }
            match self.line(line) {
                None => {
                    self.held.extend_from_slice(line);
                    break;
                }
                Some(Start::Mailbox) => {
                    changed.extend_from_slice(&content[kept..at]);
                    changed.extend_from_slice(b"X-Mailbox-Line: ");
                    kept = at;
                    self.begin_field(false)?;
                }
                Some(Start::Field { dropped, name, colon }) => {
                    self.has_field = true;
                    if dropped || name < colon {
                        let end = if dropped { at } else { at + name };
                        changed.extend_from_slice(&content[kept..end]);
                        kept = at + colon;
                    }
                    self.begin_field(dropped)?;
                }
                Some(Start::Folded) => self.place = Place::WithinLine,
                Some(end @ (Start::Empty | Start::Text)) => {
                    self.place = Place::Body;
                    let empty_line: &[u8] = if end == Start::Text { b"\r\n" } else { b"" };
                    let missing = self.seen.missing();
                    if missing.is_some() {
                        let head = joined(changed, content.slice(kept..at));
                        let rest = joined(BytesMut::from(empty_line), content.slice(at..));
                        return Ok(Passed { head, missing, rest });
                    }
                    if end == Start::Text {
                        changed.extend_from_slice(&content[kept..at]);
                        changed.extend_from_slice(empty_line);
                        kept = at;
                    }
                    at = content.len();
                }
            }
        }
        Ok(Passed { head: changed.freeze(), missing: None, rest: content.slice(kept..at) })
    }

    /// There is no more. A message may end within its headers.
    pub fn finish(&mut self) -> Passed {
        if self.place == Place::Body {
            return Passed::default();
        }
        self.place = Place::Body;
        let held = self.held.split();
        let empty_line: &[u8] = if held.is_empty() { b"" } else { b"\r\n" };
        let rest = joined(BytesMut::from(empty_line), held.freeze());
        Passed { head: Bytes::new(), missing: self.seen.missing(), rest }
    }

    /// What the line is that these octets begin with. None: more of them are needed.
    fn line(&mut self, line: &[u8]) -> Option<Start> {
        // As Postfix: of such lines those at the very beginning, however many.
        if !self.has_field && is_mailbox_line(line)? {
            return Some(Start::Mailbox);
        }
        Some(match Line::of(line)? {
            Line::Empty => Start::Empty,
            Line::Folded if self.has_field => Start::Folded,
            Line::Folded | Line::Text => Start::Text,
            Line::Field { name, colon } => {
                self.note(name);
                Start::Field { dropped: is_one_of(name, &DROPPED), name: name.len(), colon }
            }
        })
    }

    fn begin_field(&mut self, dropped: bool) -> Result<(), HeadersError> {
        self.place = Place::WithinLine;
        self.dropping = dropped;
        self.fields += 1;
        if self.fields > MAX_FIELDS { Err(HeadersError::TooMany) } else { Ok(()) }
    }

    fn note(&mut self, name: &[u8]) {
        self.hops += usize::from(name.eq_ignore_ascii_case(b"received"));
        self.was_delivered |= name.eq_ignore_ascii_case(b"delivered-to");
        self.seen.note(name);
    }
}

/// What a line at the beginning of a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Mailbox,
    /// How long its name is, and where its colon.
    Field {
        dropped: bool,
        name: usize,
        colon: usize,
    },
    Folded,
    Empty,
    Text,
}

impl Seen {
    const NAMES: [&str; 3] = ["message-id", "date", "from"];

    fn note(&mut self, name: &[u8]) {
        const RESENT: usize = "resent-".len();
        let resent = name.get(..RESENT).is_some_and(|it| it.eq_ignore_ascii_case(b"resent-"));
        self.resent |= resent;
        let (name, seen) =
            if resent { (&name[RESENT..], &mut self.again) } else { (name, &mut self.plain) };
        for (known, seen) in Self::NAMES.iter().zip(seen) {
            *seen |= name.eq_ignore_ascii_case(known.as_bytes());
        }
    }

    fn missing(self) -> Option<Missing> {
        let [message_id, date, from] = if self.resent { self.again } else { self.plain };
        (!(message_id && date && from)).then_some(Missing {
            prefix: if self.resent { "Resent-" } else { "" },
            message_id: !message_id,
            date: !date,
            from: !from,
        })
    }
}

/// Whether a line begins with `From `, or with that behind `>`s. None: it can't be told yet.
fn is_mailbox_line(line: &[u8]) -> Option<bool> {
    const FROM: &[u8] = b"From ";
    let quotes = line.iter().take(MAX_LINE).take_while(|byte| **byte == b'>').count();
    let text = &line[quotes..];
    let known = text.len().min(FROM.len());
    if text[..known] != FROM[..known] {
        return Some(false);
    }
    (known == FROM.len()).then_some(true)
}

fn is_one_of(name: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

fn joined(mut before: BytesMut, after: Bytes) -> Bytes {
    if before.is_empty() {
        return after;
    }
    before.extend_from_slice(&after);
    before.freeze()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{HeaderSection, HeadersError, MAX_FIELDS, MAX_SECTION, Missing};
    use crate::fields::Fields;

    /// What comes out, what was missing, and how many hops there are.
    fn passed(pieces: &[&[u8]]) -> Result<(String, Option<Missing>, usize), HeadersError> {
        let mut section = HeaderSection::default();
        let (mut all, mut missing) = (Vec::new(), None);
        for piece in pieces {
            let passed = section.pass(Bytes::copy_from_slice(piece))?;
            all.extend([passed.head, passed.rest]);
            missing = missing.or(passed.missing);
        }
        let passed = section.finish();
        all.extend([passed.head, passed.rest]);
        missing = missing.or(passed.missing);
        Ok((String::from_utf8(all.concat()).unwrap(), missing, section.hops()))
    }

    fn stored(text: &str) -> String {
        passed(&[text.as_bytes()]).unwrap().0
    }

    #[test]
    fn what_is_no_header_is_behind_an_empty_line() {
        for (received, expected) in [
            ("hello\r\n", "\r\nhello\r\n"),
            (" folded first\r\nA: b\r\n", "\r\n folded first\r\nA: b\r\n"),
            ("A: b\r\n c\r\nhello\r\nX: y\r\n", "A: b\r\n c\r\n\r\nhello\r\nX: y\r\n"),
            ("A: b\r\nFrom x y\r\n", "A: b\r\n\r\nFrom x y\r\n"),
            ("A: b\r\nOld \t: y\r\nX\r\n", "A: b\r\nOld: y\r\n\r\nX\r\n"),
            ("A: b\r\nX\u{e9}: y\r\n", "A: b\r\n\r\nX\u{e9}: y\r\n"),
            ("A: b\r\n\r\n\r\nhello\r\n", "A: b\r\n\r\n\r\nhello\r\n"),
            ("\r\nA: b\r\n", "\r\nA: b\r\n"),
            ("A: b\r\n", "A: b\r\n"),
            ("", ""),
        ] {
            assert_eq!(stored(received), expected, "{received:?}");
        }
    }

    #[test]
    fn a_from_line_is_a_header() {
        let stored = |text: &str| stored(text).replace("X-Mailbox-Line: ", "X-M: ");
        assert_eq!(
            stored("From a@b Thu\r\nSubject: x\r\n\r\n"),
            "X-M: From a@b Thu\r\nSubject: x\r\n\r\n"
        );
        assert_eq!(
            stored(">>From a\r\nFrom b\r\nA: c\r\n"),
            "X-M: >>From a\r\nX-M: From b\r\nA: c\r\n"
        );
        assert_eq!(stored("From a\r\n folded\r\n"), "X-M: From a\r\n\r\n folded\r\n");
        assert_eq!(stored("From: a\r\n\r\nFrom b\r\n"), "From: a\r\n\r\nFrom b\r\n");
    }

    #[test]
    fn what_is_the_envelopes_is_dropped() {
        assert_eq!(
            stored(
                "Bcc: a,\r\n b\r\nA: b\r\nBCC : c\r\nresent-bcc: d\r\nReturn-Path: <e>\r\n\
                 Content-Length: 3\r\n\r\nBcc: body\r\n"
            ),
            "A: b\r\n\r\nBcc: body\r\n"
        );
        assert_eq!(stored("Bcc: a\r\nhello\r\n"), "\r\nhello\r\n");
        assert_eq!(stored("Bccs: a\r\n"), "Bccs: a\r\n");
    }

    #[test]
    fn a_delivery_before_is_told() {
        let told = |text: &'static str| {
            let mut section = HeaderSection::default();
            section.pass(text.into()).unwrap();
            section.was_delivered()
        };
        assert!(told("A: b\r\ndelivered-TO : a@b.test\r\n\r\n"));
        assert!(!told("X: y\r\n Delivered-To: a\r\n\r\nDelivered-To: body\r\n"));
    }

    #[test]
    fn hops_and_what_is_missing_are_told() {
        let told = |text: &str| {
            let (_, missing, hops) = passed(&[text.as_bytes()]).unwrap();
            let name = |is: bool, name| is.then_some(name);
            let names = missing.map(|it| {
                let names =
                    [name(it.message_id, "id"), name(it.date, "date"), name(it.from, "from")];
                (it.prefix, names.into_iter().flatten().collect::<Vec<_>>())
            });
            (names, hops)
        };
        assert_eq!(
            told("Received: a\r\n\tb\r\nRECEIVED: c\r\nX: received: d\r\n\r\nReceived: body\r\n"),
            (Some(("", vec!["id", "date", "from"])), 2)
        );
        assert_eq!(told("From: a\r\nDATE: b\r\nMessage-Id: c\r\n"), (None, 0));
        assert_eq!(told("Date: b\r\nno header"), (Some(("", vec!["id", "from"])), 0));
        assert_eq!(
            told("From: a\r\nDate: b\r\nMessage-Id: c\r\nResent-From: d\r\n"),
            (Some(("Resent-", vec!["id", "date"])), 0)
        );
    }

    #[test]
    fn what_is_missing_belongs_before_the_empty_line() {
        for (text, head, rest) in [
            ("A: b\r\n\r\nbody\r\n", "A: b\r\n", "\r\nbody\r\n"),
            ("A: b\r\nbody\r\n", "A: b\r\n", "\r\nbody\r\n"),
            ("From a\r\nBcc: x\r\nbody\r\n", "X-Mailbox-Line: From a\r\n", "\r\nbody\r\n"),
            ("body\r\n", "", "\r\nbody\r\n"),
        ] {
            let passed = HeaderSection::default().pass(Bytes::from(text)).unwrap();
            assert!(passed.missing.is_some());
            assert_eq!((&passed.head[..], &passed.rest[..]), (head.as_bytes(), rest.as_bytes()));
        }
    }

    #[test]
    fn an_ordinary_message_is_one_slice() {
        let text = "Subject: x\r\nFrom: a\r\nDate: b\r\nMessage-ID: c\r\n\r\nbody\r\n";
        let content = Bytes::from(text);
        let passed = HeaderSection::default().pass(content.clone()).unwrap();
        assert!(passed.head.is_empty() && passed.rest == content);
        assert_eq!(passed.rest.as_ptr(), content.as_ptr());
    }

    #[test]
    fn too_much_is_told() {
        let line = "X: y\r\n";
        let many = |count: usize| passed(&[line.repeat(count).as_bytes()]).map(drop);
        assert_eq!(many(MAX_FIELDS), Ok(()));
        assert_eq!(many(MAX_FIELDS + 1), Err(HeadersError::TooMany));
        let long = |length: usize| {
            let text = format!("{}\r\n\r\nbody\r\n", "X: y\r\n".to_owned() + &"\tz".repeat(length));
            passed(&[text.as_bytes()]).map(drop)
        };
        // The fold is a line of its own: "X: y", CRLF, the rest, CRLF.
        assert_eq!(long((MAX_SECTION - 8) / 2), Ok(()));
        assert_eq!(long((MAX_SECTION - 6) / 2), Err(HeadersError::TooLarge));
        // A body of any size is none of it, nor is a line without an end.
        let body = format!("A: b\r\n{}", "x".repeat(2 * MAX_SECTION));
        assert!(passed(&[body.as_bytes()]).is_ok());
        assert!(passed(&[">".repeat(2 * MAX_SECTION).as_bytes()]).is_ok());
    }

    proptest! {
        #[test]
        fn however_it_is_split_it_comes_out_the_same_and_stays_so(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "From a b", ">From c", "From: d", "Bcc: e", "bcc  : f", " folded", "\tfolded",
                    "Received: g", "Date:", "Old  : x", "X", "X y: z", "", ": h", "x\u{e9}: i",
                ]),
                0..8,
            ),
            at in prop::collection::vec(0_usize..100, 0..4),
        ) {
            let text = lines.iter().map(|line| format!("{line}\r\n")).collect::<Vec<_>>().concat();
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = at.into_iter().map(|at| at.min(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<_> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let parted = passed(&pieces).unwrap();
            prop_assert_eq!(&parted, &passed(&[bytes]).unwrap());
            prop_assert_eq!(&stored(&parted.0), &parted.0);
            // The headers end at an empty line, or with the message.
            let out = parted.0.as_bytes();
            if let Some(body) = Fields::new(out).body() {
                prop_assert!(out[..body].ends_with(b"\r\n\r\n") || out.starts_with(b"\r\n"));
            }
            let kept = Fields::new(out).all(|field| !field.is("bcc"));
            prop_assert!(kept, "{:?}", parted.0);
        }
    }
}
