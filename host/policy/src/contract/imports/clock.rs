//! `clock`: the time.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::clock;
use crate::contract::context::Context;

impl clock::Host for Context {
    fn now(&mut self) -> Result<u64> {
        Ok(self.services.clock.now())
    }
}
