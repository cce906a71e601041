//! `clock`: the time.

use wasmtime::Result;

use crate::contract::context::Context;

pub(crate) fn now(context: &Context) -> Result<u64> {
    Ok(context.services.clock.now())
}
