//! Plays recorded sessions to the plugins of another configuration, without network and disk, and
//! says which verdicts change.

use std::fmt::Write as _;
use std::sync::Arc;

use facteur_policy::{Policy, Run, Services, Taped, TraceStep};

use super::play::{Simulation, play};
use super::record::Recorded;
use crate::config::Config;

/// What came of all sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sessions.
    pub sessions: u64,
    /// Verdicts that were compared.
    pub verdicts: u64,
    /// Now refused or sent away, and weren't.
    pub stricter: u64,
    /// Now accepted, and weren't.
    pub laxer: u64,
    /// Otherwise changed: another reply, other recipients.
    pub other: u64,
    /// Changed for want of an answer on the tape: they say nothing.
    pub untold: u64,
}

impl Summary {
    /// Whether anything is different, or can't be told to be the same.
    pub fn is_changed(&self) -> bool {
        self.stricter + self.laxer + self.other + self.untold > 0
    }

    /// In a line.
    pub fn shown(&self) -> String {
        let changed = self.stricter + self.laxer + self.other;
        let mut text =
            format!("{} sessions, {} verdicts: {changed} changed", self.sessions, self.verdicts);
        // Writing to a String can't fail.
        if changed > 0 {
            let _ = write!(
                text,
                " ({} stricter, {} laxer, {} other)",
                self.stricter, self.laxer, self.other
            );
        }
        if self.untold > 0 {
            let _ = write!(text, ", {} can't be told", self.untold);
        }
        text
    }
}

/// Plays one session, adds it to the summary, and says what changed; nothing where nothing did.
pub async fn replay(
    config: &Config,
    policy: &Arc<Policy>,
    recorded: &Recorded,
    summary: &mut Summary,
) -> String {
    let tape = Arc::new(Taped::playing(recorded.tape.clone()));
    let services = Arc::new(Services::of(&tape));
    let listen = config.listen.iter().find(|listen| listen.name == recorded.dialogue.listener);
    // A listener that the other configuration doesn't have asks all plugins.
    let chain = policy.chain(listen.map(|listen| listen.chain.as_slice()));
    let trusted = config.networks.contains(recorded.dialogue.client.ip().to_canonical());
    let hop_count = config.queue.hop_count;
    let stage = Simulation { policy, chain, services, run: Run::Replayed, trusted, hop_count };
    let (said, steps) = play(&stage, &recorded.dialogue).await;
    let missing = tape.missing();
    summary.sessions += 1;
    let mut text = String::new();
    for (number, before) in recorded.dialogue.said.iter().enumerate() {
        let Some(old) = &before.verdict else { continue };
        summary.verdicts += 1;
        let new = said.get(number).and_then(|now| now.verdict.as_deref()).unwrap_or("not reached");
        if old == new {
            continue;
        }
        match (is_yes(old), is_yes(new)) {
            _ if !missing.is_empty() => summary.untold += 1,
            (true, false) => summary.stricter += 1,
            (false, true) => summary.laxer += 1,
            _ => summary.other += 1,
        }
        let _ = writeln!(text, "  {}\n    was: {old}\n    now: {new}", before.what.shown());
    }
    if text.is_empty() {
        return text;
    }
    let mut told = format!(
        "session {} of {}\n{text}",
        recorded.dialogue.session,
        recorded.dialogue.client.ip()
    );
    for step in steps.iter().filter(|step| is_against(step)) {
        let plugin = step.plugin.as_deref().unwrap_or("the host");
        let _ = writeln!(told, "    {plugin} at {}: {}", step.question, step.answer);
    }
    for question in &missing {
        let _ = writeln!(told, "    not on the tape: {question}");
    }
    told
}

fn is_yes(verdict: &str) -> bool {
    verdict.starts_with("accepted")
}

/// Whether the step could be why.
fn is_against(step: &TraceStep) -> bool {
    step.plugin.is_some() && !step.shadow && !matches!(&*step.answer, "no opinion" | "exists")
}
