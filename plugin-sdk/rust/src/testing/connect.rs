//! Services, each a function from a request to its answer.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Host, ask};
use crate::Error;
use crate::connect::Step;

/// What a service says to a request.
type Service = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, Error>>;

#[derive(Clone, Default)]
pub(super) struct Services(HashMap<String, Service>);

impl Host {
    /// A service: what it says to each request. Where an answer ends is its own to say.
    #[must_use]
    pub fn service(
        self,
        name: &str,
        answer: impl Fn(&[u8]) -> Result<Vec<u8>, Error> + 'static,
    ) -> Self {
        self.with(|state| _ = state.services.0.insert(name.to_owned(), Rc::new(answer)))
    }
}

fn service(name: &str) -> Result<Service, Error> {
    ask(|state| state.services.0.get(name).cloned())
        .ok_or_else(|| Error::UnknownName(format!("[services.{name}]")))
}

pub fn check(name: &str) -> Result<(), Error> {
    service(name).map(|_| ())
}

pub fn exchange(name: &str, steps: &[Step]) -> Result<Vec<Vec<u8>>, Error> {
    let service = service(name)?;
    steps.iter().map(|step| service(&step.send)).collect()
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::connect::{self, Ending};
    use crate::testing::Host;

    #[test]
    fn a_service_answers() {
        let host = Host::new().service("echo", |request| Ok(request.to_vec()));
        host.run(|| {
            assert_eq!(connect::ask("echo", b"hello", Ending::Closed), Ok(b"hello".to_vec()));
            assert_eq!(
                connect::ask("other", b"", Ending::Closed),
                Err(Error::UnknownName("[services.other]".to_owned()))
            );
        });
    }
}
