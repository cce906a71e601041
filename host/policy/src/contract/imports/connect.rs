//! `connect`: conversations with other programs of the operator's.

use wasmtime::Result;

use super::{Answer, unknown};
use crate::contract::bindings::facteur::policy::{connect, types};
use crate::contract::context::Context;
use crate::services::{ConnectError, Ending, Step};

/// Steps of one conversation. Each may take a turn of the network.
const STEPS: usize = 16;
/// The longest end of an answer that is looked for, in bytes.
const ENDING: usize = 64;

impl From<ConnectError> for types::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unknown(name) => unknown("services", &name),
            ConnectError::Unavailable(why) => Self::Unavailable(why),
            ConnectError::Timeout => Self::Timeout,
            ConnectError::TooLarge => Self::TooLarge,
        }
    }
}

impl Context {
    fn may_connect(&self, service: &str) -> Answer<()> {
        let granted = self.plugin.grants.connect(&self.plugin.name, service);
        granted.map_err(types::Error::NotGranted)?;
        let is_there = self.services.connect.is_service(service);
        if is_there { Ok(()) } else { Err(unknown("services", service)) }
    }
}

fn invalid(why: String) -> types::Error {
    types::Error::Invalid(why)
}

/// The conversation, if it is one.
fn checked(steps: Vec<connect::Step>) -> Answer<Vec<Step>> {
    if !(1..=STEPS).contains(&steps.len()) {
        return Err(invalid(format!(
            "a conversation of {} steps (from 1 to {STEPS})",
            steps.len()
        )));
    }
    let last = steps.len() - 1;
    let step = |(number, step): (usize, connect::Step)| {
        let until = match step.until {
            connect::Ending::Closed if number < last => {
                return Err(invalid("a step after the end of the connection".to_owned()));
            }
            connect::Ending::Closed => Ending::Closed,
            connect::Ending::After(end) if end.is_empty() || end.len() > ENDING => {
                let length = end.len();
                return Err(invalid(format!(
                    "an answer that ends with {length} bytes (from 1 to {ENDING})"
                )));
            }
            connect::Ending::After(end) => Ending::After(end),
            connect::Ending::Length(length) => Ending::Length(length as usize),
        };
        Ok(Step { send: step.send, until })
    };
    steps.into_iter().enumerate().map(step).collect()
}

pub(crate) fn check(context: &Context, service: String) -> Result<Answer<()>> {
    Ok(context.may_connect(&service))
}

pub(crate) async fn exchange(
    context: &Context,
    service: String,
    steps: Vec<connect::Step>,
) -> Result<Answer<Vec<Vec<u8>>>> {
    let steps = match context.may_connect(&service).and_then(|()| checked(steps)) {
        Ok(steps) => steps,
        Err(error) => return Ok(Err(error)),
    };
    Ok(context.services.connect.exchange(&service, steps).await.map_err(Into::into))
}
