//! What a sandbox takes of the pool: the pool has so much for each sandbox, and who needs more
//! takes the room of several.
//!
//! So a permit always covers what an instance needs, whatever plugins there are, and a plugin that
//! needs much takes it from its own share.

use wasmtime::component::Component;

/// Linear memories for each sandbox: components of today have one.
pub(crate) const MEMORIES: u32 = 1;
/// Tables for each sandbox: one of the guest, and one by which its imports are bound
/// (wit-component's shim).
pub(crate) const TABLES: u32 = 2;

/// What an instance of a component needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    memories: u32,
    tables: u32,
}

/// There is no room for a plugin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WeightError {
    /// Not even for one sandbox.
    #[error(
        "a sandbox of it needs {tables} tables and {memories} memories, which is the room of \
         {needed} sandboxes, and there are {sandboxes}: set sandboxes = {needed} or more in \
         [policy], and restart"
    )]
    TooHeavy {
        /// What it needs.
        memories: u32,
        /// What it needs.
        tables: u32,
        /// The room for it, in sandboxes.
        needed: u32,
        /// All there is.
        sandboxes: u32,
    },
    /// It can't be known.
    #[error(
        "what a sandbox of it needs can't be counted, since it imports core modules: link them"
    )]
    Unknown,
}

impl Weight {
    /// Counts what the component needs.
    ///
    /// # Errors
    /// It needs more than all `sandboxes` have together.
    pub(crate) fn of(component: &Component, sandboxes: u32) -> Result<Self, WeightError> {
        let needs = component.resources_required().ok_or(WeightError::Unknown)?;
        let weight = Self { memories: needs.num_memories, tables: needs.num_tables };
        let needed = weight.sandboxes();
        if needed > sandboxes {
            let Self { memories, tables } = weight;
            return Err(WeightError::TooHeavy { memories, tables, needed, sandboxes });
        }
        Ok(weight)
    }

    /// In sandboxes, at least one.
    pub(crate) fn sandboxes(self) -> u32 {
        self.memories.div_ceil(MEMORIES).max(self.tables.div_ceil(TABLES)).max(1)
    }
}
