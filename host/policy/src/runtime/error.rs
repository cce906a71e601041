//! Why a plugin didn't answer.

use std::time::Duration;

/// Why a plugin didn't answer. Each is counted and logged under its label, and `on-error` decides
/// what follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It trapped: ran out of memory or stack, hit unreachable, broke a rule of the contract.
    #[error("trap: {0}")]
    Trap(String),
    /// It took too long, waiting included.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// It computed for too long.
    #[error("more than {0:?} of computing")]
    TooMuchCpu(Duration),
    /// A fresh sandbox was told the same as another before, and did something else.
    #[error(transparent)]
    Differs(#[from] Differs),
    /// It said that it can't decide.
    #[error("{reason}")]
    Failure {
        /// Whether asking again later may help.
        transient: bool,
        /// Its words.
        reason: String,
    },
    /// Every sandbox is in use.
    #[error("every sandbox is in use")]
    Busy,
}

/// A guest that isn't deterministic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was told the same as before, and did something else")]
pub struct Differs;

impl CallError {
    /// Every label.
    pub(crate) const LABELS: [&str; 6] = ["trap", "timeout", "cpu", "differs", "failure", "busy"];

    /// For the log and the trace: the label, and what happened.
    pub(crate) fn told(&self) -> String {
        match self {
            // Its text begins with the label.
            Self::Trap(_) => self.to_string(),
            _ => format!("{}: {self}", self.label()),
        }
    }

    /// The metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Timeout(_) => "timeout",
            Self::TooMuchCpu(_) => "cpu",
            Self::Differs(_) => "differs",
            Self::Failure { .. } => "failure",
            Self::Busy => "busy",
        }
    }
}
