//! `connect`: conversations with other programs of the operator's.

use wasmtime::{Result, bail};

use crate::contract::bindings::facteur::policy::connect;
use crate::contract::context::Context;
use crate::services::{ConnectError, Ending, Step};

/// Steps of one conversation. Each may take a turn of the network.
const STEPS: usize = 16;
/// The longest end of an answer that is looked for, in bytes.
const ENDING: usize = 64;

type Answer<T> = std::result::Result<T, connect::Error>;

impl Context {
    fn may_connect(&self, service: &str) -> Answer<()> {
        self.plugin
            .grants
            .connect(&self.plugin.name, service)
            .map_err(connect::Error::NotGranted)?;
        if self.services.connect.is_service(service) {
            Ok(())
        } else {
            Err(connect::Error::UnknownService(service.to_owned()))
        }
    }
}

impl From<ConnectError> for connect::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unknown(name) => Self::UnknownService(name),
            ConnectError::Unavailable(why) => Self::Unavailable(why),
            ConnectError::Timeout => Self::Timeout,
            ConnectError::TooLarge => Self::TooLarge,
        }
    }
}

fn checked(steps: Vec<connect::Step>) -> Result<Vec<Step>> {
    if !(1..=STEPS).contains(&steps.len()) {
        bail!("a conversation of {} steps (from 1 to {STEPS})", steps.len());
    }
    let last = steps.len() - 1;
    let step = |(number, step): (usize, connect::Step)| {
        let until = match step.until {
            connect::Ending::Closed if number < last => {
                bail!("a step after the end of the connection")
            }
            connect::Ending::Closed => Ending::Closed,
            connect::Ending::After(end) if end.is_empty() || end.len() > ENDING => {
                bail!("an answer that ends with {} bytes (from 1 to {ENDING})", end.len())
            }
            connect::Ending::After(end) => Ending::After(end),
            connect::Ending::Length(length) => Ending::Length(length as usize),
        };
        Ok(Step { send: step.send, until })
    };
    steps.into_iter().enumerate().map(step).collect()
}

impl connect::Host for Context {
    fn check(&mut self, service: String) -> Result<Answer<()>> {
        Ok(self.may_connect(&service))
    }

    async fn exchange(
        &mut self,
        service: String,
        steps: Vec<connect::Step>,
    ) -> Result<Answer<Vec<Vec<u8>>>> {
        let steps = checked(steps)?;
        if let Err(error) = self.may_connect(&service) {
            return Ok(Err(error));
        }
        Ok(self.services.connect.exchange(&service, steps).await.map_err(Into::into))
    }
}
