//! Answers as people and programs read them.

use std::fmt::Write as _;
use std::io;

use facteur_spool::RecipientState;

use super::{out, plugins};
use crate::decisions::{self, Record};
use crate::operate::protocol::{Answer, Entry, PluginEntry, Sink};

/// Answers as text, as they come.
pub(super) struct Plain;

impl Sink for Plain {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Message(entry) => out::line(describe(&entry)),
            Answer::Content { text } => out::text(text),
            Answer::Count { count: 1 } => out::line("1 message"),
            Answer::Count { count } => out::line(format_args!("{count} messages")),
            Answer::Decided(record) => out::text(decisions::tell(&[*record], false, time)),
            Answer::Recorded(session) => out::line(session.dialogue.session),
            Answer::Plugin(entry) => out::text(plugins::table(&[*entry], time)),
            Answer::Done => out::line("done"),
            Answer::Failed { errors } => Err(io::Error::other(errors.join("\n"))),
        }
    }
}

/// Answers as JSON, a line each.
pub(super) struct Json;

impl Sink for Json {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        let line = match &answer {
            Answer::Message(entry) => serde_json::to_string(entry),
            Answer::Decided(record) => serde_json::to_string(record),
            Answer::Plugin(entry) => serde_json::to_string(entry),
            _ => return Plain.put(answer).await,
        };
        out::line(line.map_err(io::Error::other)?)
    }
}

/// What was decided, gathered to be told as a whole.
#[derive(Default)]
pub(super) struct Records(pub(super) Vec<Record>);

impl Sink for Records {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Decided(record) => {
                self.0.push(*record);
                Ok(())
            }
            other => Plain.put(other).await,
        }
    }
}

/// The plugins, gathered for one table.
#[derive(Default)]
pub(super) struct Plugins(pub(super) Vec<PluginEntry>);

impl Sink for Plugins {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Plugin(entry) => {
                self.0.push(*entry);
                Ok(())
            }
            other => Plain.put(other).await,
        }
    }
}

fn describe(entry: &Entry) -> String {
    let mut text = String::new();
    let sender = if entry.sender.is_empty() { "<>" } else { &entry.sender };
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "{}  arrived {}  {} octets  from {sender}",
        entry.id,
        time(entry.received_at),
        entry.size
    );
    if let Some(reason) = &entry.reason {
        let quarantine =
            entry.recipients.iter().any(|one| one.state == RecipientState::Quarantine.as_str());
        let _ = writeln!(text, "  {}: {reason}", if quarantine { "in quarantine" } else { "held" });
    }
    for one in &entry.recipients {
        let why = one.last_reply.as_deref().unwrap_or("not tried yet");
        let remote = one.remote.as_deref().map(|host| format!(" ({host})")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {}  {}  tried {} times, next {}: {why}{remote}",
            one.address,
            one.state,
            one.attempts,
            time(one.next_try)
        );
    }
    let left = entry.recipient_count.saturating_sub(entry.recipients.len() as u64);
    if left > 0 {
        let _ = writeln!(text, "  and {left} more");
    }
    text
}

/// Milliseconds since 1970, in the zone of this machine.
pub(super) fn time(milliseconds: u64) -> String {
    let moment =
        i64::try_from(milliseconds).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(
        || "?".into(),
        |moment| {
            moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}
