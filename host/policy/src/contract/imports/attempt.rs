//! `attempt`: what happened to a recipient.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::{attempt, types};
use crate::contract::context::Context;
use crate::contract::subject::{Attempt, Subject};

impl Context {
    fn attempt(&self, function: &str) -> Result<&Attempt> {
        match &self.subject {
            Subject::Attempt(_, attempt) => Ok(attempt),
            _ => Err(self.misplaced(function, "on-delivery")),
        }
    }
}

impl attempt::Host for Context {
    fn number(&mut self) -> Result<u32> {
        Ok(self.attempt("attempt.number")?.number)
    }

    fn host(&mut self) -> Result<Option<String>> {
        Ok(self.attempt("attempt.host")?.host.clone())
    }

    fn said(&mut self) -> Result<types::Reply> {
        Ok((&self.attempt("attempt.said")?.reply).into())
    }

    fn next_try(&mut self) -> Result<Option<u64>> {
        Ok(self.attempt("attempt.next-try")?.next_try)
    }
}
