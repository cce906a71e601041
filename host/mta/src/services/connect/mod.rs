//! Conversations with other programs of the operator's, by name: so many at once, each of so much
//! and so long at most.
//!
//! Every conversation has a connection of its own, and nothing of it is kept.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use facteur_policy::{Connect, ConnectError, Ending, Step};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config;
use crate::config::endpoint::Stream;

/// Read at once.
const READ: usize = 8 * 1024;

/// All services of one configuration.
#[derive(Default)]
pub struct Connector(HashMap<String, Arc<Service>>);

/// One service.
struct Service {
    settings: config::Service,
    turns: Semaphore,
}

impl Connector {
    /// Takes over from the configuration before what stays the same: the turns that are taken.
    pub fn new(wanted: &BTreeMap<String, config::Service>, before: Option<&Self>) -> Self {
        let kept = |name: &str, settings: &config::Service| {
            before
                .and_then(|before| before.0.get(name))
                .filter(|service| service.settings == *settings)
                .cloned()
        };
        let service = |(name, settings): (&String, &config::Service)| {
            let new = || {
                let turns = Semaphore::new(settings.concurrency);
                Arc::new(Service { settings: settings.clone(), turns })
            };
            (name.clone(), kept(name, settings).unwrap_or_else(new))
        };
        Self(wanted.iter().map(service).collect())
    }
}

impl Connect for Connector {
    fn is_service(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn exchange<'a>(
        &'a self,
        service: &'a str,
        steps: Vec<Step>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, ConnectError>> {
        async move {
            let Some(found) = self.0.get(service) else {
                return Err(ConnectError::Unknown(service.to_owned()));
            };
            let answer = found.exchange(&steps).await;
            if let Err(error) = &answer {
                // What follows is the plugin's to say, and it may ask again and again.
                tracing::debug!(service, address = %found.settings.address, %error, "no answer \
                 from the service");
            }
            answer
        }
        .boxed()
    }
}

impl Service {
    async fn exchange(&self, steps: &[Step]) -> Result<Vec<Vec<u8>>, ConnectError> {
        let settings = &self.settings;
        // The semaphore is never closed, so that an error here is the timeout's.
        let Ok(_turn) = timeout(settings.timeout, self.turns.acquire()).await else {
            let text = format!("all of its {} conversations are taken", settings.concurrency);
            return Err(ConnectError::Unavailable(text));
        };
        let conversation = async {
            let stream = settings.address.connect(settings.connect_timeout).await;
            let stream = stream.map_err(|error| lost(&error))?;
            let mut talk = Talk { stream, received: Vec::new(), left: settings.response };
            let mut answers = Vec::with_capacity(steps.len());
            for step in steps {
                answers.push(talk.step(step).await?);
            }
            Ok(answers)
        };
        timeout(settings.timeout, conversation).await.unwrap_or(Err(ConnectError::Timeout))
    }
}

fn lost(error: &std::io::Error) -> ConnectError {
    ConnectError::Unavailable(error.to_string())
}

/// One connection.
struct Talk {
    stream: Box<dyn Stream>,
    /// What was read and belongs to no answer yet.
    received: Vec<u8>,
    /// How much may still be read.
    left: usize,
}

impl Talk {
    async fn step(&mut self, step: &Step) -> Result<Vec<u8>, ConnectError> {
        self.stream.write_all(&step.send).await.map_err(|error| lost(&error))?;
        // Where the end can't be yet.
        let mut seen = 0;
        loop {
            let end = match &step.until {
                Ending::Closed => None,
                Ending::Length(length) => (self.received.len() >= *length).then_some(*length),
                Ending::After(end) => {
                    let from = seen - seen.min(end.len());
                    let place = memmem::find(&self.received[from..], end);
                    place.map(|place| from + place + end.len())
                }
            };
            if let Some(end) = end {
                let rest = self.received.split_off(end);
                return Ok(std::mem::replace(&mut self.received, rest));
            }
            seen = self.received.len();
            let mut space = [0; READ];
            let count = self.stream.read(&mut space).await.map_err(|error| lost(&error))?;
            if count == 0 {
                return match step.until {
                    Ending::Closed => Ok(std::mem::take(&mut self.received)),
                    _ => Err(ConnectError::Unavailable(
                        "it hung up before the end of its answer".to_owned(),
                    )),
                };
            }
            self.left = self.left.checked_sub(count).ok_or(ConnectError::TooLarge)?;
            self.received.extend_from_slice(&space[..count]);
        }
    }
}
