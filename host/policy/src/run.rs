//! What a run is for: whether it counts, and whether it leaves anything behind.

/// The mode of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Run {
    /// Real mail, with the program's own services.
    #[default]
    Live,
    /// Real mail, whose answers are written down as well.
    Recorded,
    /// What would be, with services that leave no trace.
    Simulated,
    /// What was written down, asked again.
    Replayed,
}

impl Run {
    /// Whether it is about real mail. Otherwise it says nothing about how a plugin does, no plugin
    /// has services of its own, and no sandbox goes on to a run that is.
    pub(crate) fn is_real(self) -> bool {
        matches!(self, Self::Live | Self::Recorded)
    }

    /// Whether an answer of before may be used again, and this one be kept: where all answers are
    /// written down, each must be asked for.
    pub(crate) fn may_reuse(self) -> bool {
        self == Self::Live
    }
}
