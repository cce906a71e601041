//! Other programs of the operator's, by name.

use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};

use super::nothing::Nothing;

/// One part of a conversation: what is sent, and where the answer to it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// May be empty, where the service speaks first.
    pub send: Vec<u8>,
    /// The end of the answer.
    pub until: Ending,
}

/// Where an answer ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The service closes the connection.
    Closed,
    /// These bytes, which are a part of it; never empty.
    After(Vec<u8>),
    /// It has so many bytes.
    Length(usize),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ConnectError {
    /// No service has this name.
    #[error("there is no service \"{0}\"")]
    Unknown(String),
    /// It can't be reached, or hung up too early.
    #[error("the service can't be asked: {0}")]
    Unavailable(String),
    /// It took too long.
    #[error("the service took too long")]
    Timeout,
    /// It said more than it may.
    #[error("the service said too much")]
    TooLarge,
}

/// Talks to services.
pub trait Connect: Send + Sync {
    /// Whether there is a service of this name.
    fn is_service(&self, name: &str) -> bool;

    /// One connection: the steps in order, and the answer to each.
    fn exchange<'a>(
        &'a self,
        service: &'a str,
        steps: Vec<Step>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, ConnectError>>;
}

impl Connect for Nothing {
    fn is_service(&self, _: &str) -> bool {
        false
    }

    fn exchange<'a>(
        &'a self,
        service: &'a str,
        _: Vec<Step>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, ConnectError>> {
        Box::pin(ready(Err(ConnectError::Unknown(service.to_owned()))))
    }
}
