//! The limit on a sandbox's linear memory, and how much it has: all memories of the instance
//! together.

use wasmtime::{ResourceLimiter, Result, bail};

/// What a sandbox has, and may have, in bytes.
pub(crate) struct Memory {
    limit: usize,
    used: usize,
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// What it has. It never shrinks.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Whether so much is left that the next question isn't likely to end in a trap for what the
    /// ones before it left behind.
    pub(crate) fn has_room(&self) -> bool {
        self.used <= self.limit / 4 * 3
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        // A trap, rather than an error that the guest may handle: what it then does is seldom what
        // its author had in mind.
        if used > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            bail!("more than {} bytes of memory", self.limit);
        }
        self.used = used;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(error.context("its memory can't grow"))
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            bail!("a table of more than {desired} elements");
        }
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(error.context("its table can't grow"))
    }
}
