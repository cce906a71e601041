//! The messages that tell a sender what became of a message: delivery status notifications (RFC
//! 3464, and RFC 6533 where an address isn't ASCII), in the spirit of Postfix's.
//!
//! Pure: the time, the names and the original are handed in. Whatever a server or a sender wrote
//! comes out as text that can't end its line, its field or its part. Who is told, and how the
//! notice is sent, is the caller's.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use facteur_smtp::{Address, in_ascii};
use facteur_spool::{Message, Recipient, Timestamp};
use jiff::tz::TimeZone;
use memchr::memmem;

use super::report::{Action, Report};

/// The recommended length of a line (RFC 5322 section 2.1.1).
const LINE: usize = 78;

/// How much of the original goes back, CRLF lines.
#[derive(Clone, Debug)]
pub enum Returned {
    /// All of it.
    Whole(Bytes),
    /// Its headers.
    Headers(Bytes),
}

/// A notice to be made.
#[derive(Clone, Debug)]
pub struct Notice<'a> {
    /// This host's name.
    pub hostname: &'a str,
    /// The domain of MAILER-DAEMON, in ASCII: `domains.origin`.
    pub origin: &'a str,
    /// Now.
    pub now: Timestamp,
    /// The zone in which dates are told.
    pub zone: &'a TimeZone,
    /// Unique: the left side of its Message-ID, and what its boundary is made of. Letters, digits
    /// and dots.
    pub id: &'a str,
    /// Whom it is told.
    pub to: &'a Address,
    /// The original.
    pub message: &'a Message,
    /// Its recipients; at least one.
    pub reports: &'a [Report],
    /// What goes back.
    pub returned: Returned,
}

/// A notice, made: a message from the null sender, CRLF lines. It needs SMTPUTF8 only where nobody
/// without could be told: for the address that it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Headers and body with the empty line between.
    pub content: Bytes,
    /// It can only go to a server with SMTPUTF8.
    pub utf8: bool,
    /// It holds octets over 127.
    pub eight_bit: bool,
}

impl Notice<'_> {
    /// Writes it.
    pub fn write(&self) -> Written {
        let utf8 = self.is_international();
        let (text, status) = (self.text(), self.status(utf8));
        let (kind, title, original) = match &self.returned {
            Returned::Whole(bytes) => {
                (if utf8 { "message/global" } else { "message/rfc822" }, "Your message", bytes)
            }
            Returned::Headers(bytes) => (
                if utf8 { "message/global-headers" } else { "text/rfc822-headers" },
                "The headers of your message",
                bytes,
            ),
        };
        let charset = if text.is_ascii() { "us-ascii" } else { "utf-8" };
        let delivery_status =
            if utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
        let parts = [
            ("Notification", format!("text/plain; charset={charset}"), text.as_bytes()),
            ("Delivery report", delivery_status.to_owned(), status.as_bytes()),
            (title, kind.to_owned(), &**original),
        ];
        let boundary = self.boundary(&parts.each_ref().map(|(_, _, content)| *content));
        // Its own headers are all that a server without SMTPUTF8 can't take: what isn't ASCII in
        // the parts is content.
        let needs_smtputf8 = self.to.needs_smtputf8();
        let to = address(self.to, needs_smtputf8);
        let eight_bit = !to.is_ascii() || parts.iter().any(|(_, _, content)| !content.is_ascii());

        let mut content = BytesMut::from(self.header(&to, &boundary, eight_bit).as_bytes());
        for (title, kind, bytes) in &parts {
            let encoding = encoding(!bytes.is_ascii());
            let head = format!(
                "--{boundary}\r\nContent-Description: {title}\r\nContent-Type: {kind}\r\n\
                 Content-Transfer-Encoding: {encoding}\r\n\r\n"
            );
            content.extend_from_slice(head.as_bytes());
            content.extend_from_slice(bytes);
            // The line end before a boundary belongs to the boundary (RFC 2046 section 5.1.1).
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Written { content: content.freeze(), utf8: needs_smtputf8, eight_bit }
    }

    /// Whether something in its parts has no ASCII form (RFC 6533).
    fn is_international(&self) -> bool {
        let recipient = |recipient: &Recipient| {
            recipient.address.needs_smtputf8()
                || recipient.original.needs_smtputf8()
                || recipient.orcpt.as_ref().is_some_and(|orcpt| !orcpt.is_ascii())
        };
        self.message.utf8
            || self.to.needs_smtputf8()
            || self.reports.iter().any(|report| recipient(&report.recipient))
    }

    fn header(&self, to: &str, boundary: &str, eight_bit: bool) -> String {
        let Self { hostname, origin, id, .. } = self;
        let subject = match self.reports.iter().map(|report| report.action).min() {
            Some(Action::Failed) | None => "Undelivered Mail Returned to Sender",
            Some(Action::Delayed { .. }) => "Delayed Mail (still being retried)",
            Some(Action::Delivered | Action::Relayed | Action::Expanded) => {
                "Successful Mail Delivery Report"
            }
        };
        let (date, encoding) = (self.date(self.now), encoding(eight_bit));
        format!(
            "From: Mail Delivery System <MAILER-DAEMON@{origin}>\r\nTo: <{to}>\r\nSubject: \
             {subject}\r\nDate: {date}\r\n\
             Message-ID: <{id}@{hostname}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; \
             report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\nThis is a MIME-encapsulated \
             message.\r\n\r\n"
        )
    }

    /// What a person reads.
    fn text(&self) -> String {
        let mut text = format!("This is the mail system at host {}.\r\n", self.hostname);
        let mut actions: Vec<Action> = self.reports.iter().map(|report| report.action).collect();
        actions.sort_unstable();
        actions.dedup();
        for action in actions {
            text.push_str("\r\n");
            wrap(&mut text, "", &self.introduction(action));
            text.push_str("\r\n");
            for report in self.reports.iter().filter(|report| report.action == action) {
                let mut entry = format!("<{}>", report.recipient.address);
                // Writing to a String can't fail.
                let _ = match &report.recipient.original {
                    original if *original == report.recipient.address => Ok(()),
                    original => write!(entry, " (expanded from <{original}>)"),
                };
                let _ = match &report.remote {
                    Some(remote) => {
                        let host =
                            remote.rsplit_once(':').map_or(remote.as_str(), |(host, _)| host);
                        write!(entry, ": host {host} said: {}", report.reply)
                    }
                    None => write!(entry, ": {}", report.reply.text),
                };
                wrap(&mut text, "    ", &plain(&entry, true));
            }
        }
        text
    }

    fn introduction(&self, action: Action) -> String {
        match action {
            Action::Failed => "I'm sorry: your message could not be delivered to the recipients \
             below, for the reasons given \
                with each. It comes back with this notice. If the reasons don't help you, ask your \
                postmaster, and send this \
                notice along."
                .to_owned(),
            Action::Delayed { until } => format!(
                "Your message has not been delivered yet to the recipients below. You need not \
                 send it again: it is tried until \
                 {}.",
                self.date(until)
            ),
            Action::Delivered => "Your message was delivered to the recipients below.".to_owned(),
            Action::Relayed => "Your message was passed on to another server for the recipients \
             below. That server doesn't \
                report deliveries: if nothing goes wrong you will hear no more of it."
                .to_owned(),
            Action::Expanded => "Your message was given to the members of these lists.".to_owned(),
        }
    }

    /// What a program reads.
    fn status(&self, utf8: bool) -> String {
        let message = self.message;
        let mut status = String::new();
        field(&mut status, "Reporting-MTA", &format!("dns; {}", self.hostname), utf8);
        if let Some(envid) = &message.envid {
            field(&mut status, "Original-Envelope-Id", envid, utf8);
        }
        field(&mut status, "X-Facteur-Queue-ID", &message.queue_id.to_string(), utf8);
        field(&mut status, "X-Facteur-Sender", &typed(self.to, utf8), utf8);
        field(&mut status, "Arrival-Date", &self.date(message.received_at), utf8);
        for report in self.reports {
            let recipient = &report.recipient;
            status.push_str("\r\n");
            if let Some(orcpt) = &recipient.orcpt {
                field(&mut status, "Original-Recipient", orcpt, utf8);
            } else if recipient.original != recipient.address {
                field(&mut status, "Original-Recipient", &typed(&recipient.original, utf8), utf8);
            }
            field(&mut status, "Final-Recipient", &typed(&recipient.address, utf8), utf8);
            field(&mut status, "Action", report.action.word(), utf8);
            let code = report.reply.enhanced.map(|code| code.to_string());
            field(
                &mut status,
                "Status",
                &code.unwrap_or_else(|| format!("{}.0.0", report.reply.code / 100)),
                utf8,
            );
            let said_by = match &report.remote {
                Some(remote) => {
                    field(&mut status, "Remote-MTA", &format!("dns; {}", host(remote)), utf8);
                    "smtp"
                }
                None => "x-facteur",
            };
            field(&mut status, "Diagnostic-Code", &format!("{said_by}; {}", report.reply), utf8);
            if let Action::Delayed { until } = report.action {
                field(&mut status, "Will-Retry-Until", &self.date(until), utf8);
            }
        }
        status
    }

    /// A boundary that stands in none of the parts.
    fn boundary(&self, parts: &[&[u8]]) -> String {
        let mut boundary = format!("=_{}", self.id);
        let occurs = |boundary: &str| {
            parts.iter().any(|part| memmem::find(part, boundary.as_bytes()).is_some())
        };
        while occurs(&boundary) {
            boundary.push('_');
        }
        boundary
    }

    fn date(&self, at: Timestamp) -> String {
        date(at, self.zone)
    }
}

/// A date as headers have it (RFC 5322 section 3.3).
pub fn date(at: Timestamp, zone: &TimeZone) -> String {
    let milliseconds = i64::try_from(at.0).unwrap_or(i64::MAX);
    // Beyond the year 9999 no date is right; the beginning of all dates is seen to be wrong.
    let at = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zoned = at.to_zoned(zone.clone());
    jiff::fmt::rfc2822::to_string(&zoned)
        .unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".to_owned())
}

fn encoding(eight_bit: bool) -> &'static str {
    if eight_bit { "8bit" } else { "7bit" }
}

/// An address in the form that the notice may hold.
fn address(address: &Address, utf8: bool) -> String {
    if utf8 { address.to_string() } else { address.wire() }
}

/// An address with its type (RFC 3464 section 2.1.2, RFC 6533 section 3).
fn typed(value: &Address, utf8: bool) -> String {
    let text = address(value, utf8);
    if text.is_ascii() { format!("rfc822; {text}") } else { format!("utf-8; {text}") }
}

/// The name in `host[address]:port`.
fn host(remote: &str) -> &str {
    remote.split_once('[').map_or(remote, |(host, _)| host)
}

/// One line of printable characters.
fn plain(text: &str, utf8: bool) -> String {
    let text = if utf8 { Cow::Borrowed(text) } else { in_ascii(text) };
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A field, folded at its own blanks: unfolded it is what it was (RFC 5322 section 2.2.3).
fn field(status: &mut String, name: &str, value: &str, utf8: bool) {
    wrap(status, " ", &format!("{name}: {}", plain(value, utf8)));
}

/// A text parted at single blanks. Several in a row may belong to a quoted local part, and stay.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim_matches(' ');
    let is_gap = move |&at: &usize| !text[..at].ends_with(' ') && !text[at + 1..].starts_with(' ');
    let gaps = text.match_indices(' ').map(|(at, _)| at).filter(is_gap);
    gaps.chain(std::iter::once(text.len())).scan(0, |start, end| {
        let word = &text[*start..end];
        *start = end + 1;
        Some(word)
    })
}

/// Appends a text in lines; all but the first are indented. Words are kept whole where a line may
/// hold them at all (RFC 5322 section 2.1.1: 998 octets).
fn wrap(output: &mut String, indent: &str, text: &str) {
    const LONGEST: usize = 900;
    let mut column = 0;
    for word in words(text) {
        if column > 0 && column + 1 + word.len() > LINE {
            output.push_str("\r\n");
            output.push_str(indent);
            column = indent.len();
        } else if column > 0 {
            output.push(' ');
            column += 1;
        }
        let mut rest = word;
        while rest.len() > LONGEST {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(LONGEST));
            output.push_str(piece);
            output.push_str("\r\n");
            output.push_str(indent);
            // A line of blanks alone would end the block of fields for some readers.
            (rest, column) = (after.trim_start_matches(' '), indent.len());
        }
        output.push_str(rest);
        column += rest.len();
    }
    output.push_str("\r\n");
}

#[cfg(test)]
#[path = "notice_tests.rs"]
mod tests;
