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

impl CallError {
    /// Every label.
    pub(crate) const LABELS: [&str; 5] = ["trap", "timeout", "cpu", "failure", "busy"];

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
            Self::Failure { .. } => "failure",
            Self::Busy => "busy",
        }
    }
}
