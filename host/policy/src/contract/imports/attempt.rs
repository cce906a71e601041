//! `attempt`: what happened to a recipient.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::types;
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

pub(crate) fn number(context: &Context) -> Result<u32> {
    Ok(context.attempt("attempt.number")?.number)
}

pub(crate) fn host(context: &Context) -> Result<Option<String>> {
    Ok(context.attempt("attempt.host")?.host.clone())
}

pub(crate) fn said(context: &Context) -> Result<types::Reply> {
    Ok((&context.attempt("attempt.said")?.reply).into())
}

pub(crate) fn next_try(context: &Context) -> Result<Option<u64>> {
    Ok(context.attempt("attempt.next-try")?.next_try)
}
