//! A record as a person reads it.

use std::fmt::Write as _;

use facteur_policy::TraceStep;

use super::record::{Kind, Record};

/// The trace that the records tell, in paragraphs. `time` writes a moment as its reader wants it.
/// With `facts`: what the answers depended on, too, as far as that is kept.
pub fn tell(records: &[Record], facts: bool, time: impl Fn(u64) -> String) -> String {
    let mut text = String::new();
    for record in records {
        if !text.is_empty() {
            text.push('\n');
        }
        let at = time(record.time);
        // Writing to a String can't fail.
        let _ = match record.kind {
            Kind::Session | Kind::Envelope => writeln!(text, "{at}  {}", client(record)),
            Kind::Delivery => {
                let to = record.recipient.as_deref().unwrap_or("?");
                writeln!(text, "{at}  {} to <{to}>", record.id.as_deref().unwrap_or("delivery"))
            }
        };
        if let Some(sender) = record.sender.as_deref().filter(|_| record.kind == Kind::Envelope) {
            let _ = writeln!(text, "  from <{sender}>");
        }
        steps(&mut text, &record.steps, facts);
        let _ = writeln!(text, "  => {}", record.outcome);
    }
    text
}

fn client(record: &Record) -> String {
    let session = record.session.as_deref().unwrap_or("?");
    let client = record
        .client
        .as_ref()
        .map_or_else(String::new, |(client, listener)| format!(", client {client} at {listener}"));
    let helo = record.helo.as_deref().map_or_else(String::new, |name| format!(", helo {name}"));
    format!("session {session}{client}{helo}")
}

/// What the host did, and below it what the plugins said before: a reader wants the end first.
fn steps(text: &mut String, steps: &[TraceStep], facts: bool) {
    let mut before: Vec<&TraceStep> = Vec::new();
    for step in steps {
        if step.plugin.is_some() {
            before.push(step);
            continue;
        }
        let about = step.about.as_deref().map_or_else(String::new, |about| format!(" <{about}>"));
        let _ = writeln!(text, "  {}{about}: {}", step.question, step.answer);
        said(text, &before, facts);
        before.clear();
    }
    said(text, &before, facts);
}

fn said(text: &mut String, steps: &[&TraceStep], facts: bool) {
    let question = |step: &TraceStep| {
        step.about.as_deref().map_or_else(
            || step.question.clone().into_owned(),
            |about| format!("{} {about}", step.question),
        )
    };
    let plugin = |step: &TraceStep| step.plugin.clone().unwrap_or_default();
    let widest = |cell: &dyn Fn(&TraceStep) -> String| {
        steps.iter().map(|step| cell(step).len()).max().unwrap_or(0)
    };
    let (first, second) = (widest(&plugin), widest(&question));
    for step in steps {
        let shadow = if step.shadow { "in the shadow: " } else { "" };
        // Milliseconds with three places, without a detour over floating point.
        let time = format!("{}.{:03} ms", step.micros / 1000, step.micros % 1000);
        let _ = writeln!(
            text,
            "    {:first$}  {:second$}  {shadow}{}  ({time})",
            plugin(step),
            question(step),
            step.answer
        );
        for fact in step.facts.iter().filter(|_| facts) {
            let _ = writeln!(text, "    {:first$}  because {fact}", "");
        }
    }
}
