//! What is beside a guest in its store: what its calls into the host reach, and what the runtime
//! keeps of its work.

use wasmtime::component::{Component, Linker};

use crate::runtime::memory::Memory;
use crate::runtime::pace::Pacer;

/// What a guest's calls into the host reach. The runtime doesn't know what that is.
pub trait Context: Sized + Send + 'static {
    /// Puts the host's half of every import into the linker.
    ///
    /// # Errors
    /// Two of them have the same name.
    fn link(linker: &mut Linker<Data<Self>>) -> wasmtime::Result<()>;

    /// Adds what this component imports and the linker hasn't, as far as it may be missing.
    ///
    /// # Errors
    /// It imports what no guest is given.
    fn complete(linker: &mut Linker<Data<Self>>, component: &Component) -> wasmtime::Result<()>;

    /// The question has ended, and the sandbox waits for whoever asks next: it sees nothing.
    fn rest(&mut self);

    /// What the guest itself said last of what went wrong.
    fn last_words(&self) -> Option<&str>;
}

/// The data of one store.
pub struct Data<C> {
    pub(crate) context: C,
    /// Calls into the host, since the meter last looked.
    pub(crate) calls: u64,
    pub(crate) memory: Memory,
    pub(crate) pacer: Pacer,
    pub(crate) ticks_left: u64,
}

impl<C> Data<C> {
    /// Every call of a guest comes by here for the host's half.
    pub(crate) fn called(&mut self) -> &mut C {
        self.calls += 1;
        &mut self.context
    }
}
