//! What plugins were asked about one envelope, and what they answered: the steps to every decision,
//! for a person to read.
//!
//! A step is noted where the question is asked, whatever the hook, so that no decision has none. A
//! trace changes nothing, and is bounded.

use std::borrow::Cow;

use parking_lot::Mutex;

/// The most steps that are kept of one trace: an envelope of many recipients or a long list says
/// the same again and again.
const STEPS: usize = 1_000;

/// One question and its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// Who was asked; none: the host itself decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The question: the hook's name without its "on-", such as "rcpt", "alias", "content".
    pub question: Cow<'static, str>,
    /// What the question was about, where that isn't the whole envelope: an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// In words: "no opinion", "reject 550 5.1.1 …".
    pub answer: Cow<'static, str>,
    /// From question to answer, in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub micros: u64,
    /// What the plugin asked of the host and was told, so that it came to this answer: "session
    /// .trusted = false". Of a refusal, or of everything, as [`Facts`] says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
    /// The answer was for the record only: the plugin's mode is `shadow`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(micros: &u64) -> bool {
    *micros == 0
}

/// Whose questions the facts are told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Facts {
    /// Those whose answer is a no.
    #[default]
    OfRefusals,
    /// All.
    OfAll,
}

/// The steps so far.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    steps: Vec<Step>,
    dropped: usize,
}

impl Trace {
    /// Adds one.
    pub fn add(&self, step: Step) {
        let mut kept = self.0.lock();
        if kept.steps.len() < STEPS {
            kept.steps.push(step);
        } else {
            kept.dropped += 1;
        }
    }

    /// Adds what the host decided by itself.
    pub fn host(
        &self,
        question: &'static str,
        about: Option<String>,
        answer: impl Into<Cow<'static, str>>,
    ) {
        let (question, answer) = (question.into(), answer.into());
        self.add(Step { question, about, answer, ..Step::default() });
    }

    /// All steps, in the order of their answers; the trace begins anew.
    pub fn take(&self) -> Vec<Step> {
        let Kept { mut steps, dropped } = std::mem::take(&mut *self.0.lock());
        if dropped > 0 {
            let answer = format!("{dropped} more steps are not kept").into();
            steps.push(Step { question: "trace".into(), answer, ..Step::default() });
        }
        steps
    }
}

/// An answer, in words.
pub(crate) trait Told {
    /// For a person; one line.
    fn told(&self) -> Cow<'static, str>;

    /// Whether it is a no.
    fn refuses(&self) -> bool {
        false
    }
}
