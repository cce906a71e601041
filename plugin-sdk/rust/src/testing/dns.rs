//! The DNS: an answer for each name and type. Every other name doesn't exist.

use std::collections::HashMap;

use super::{Host, ask};
use crate::Error;
use crate::dns::MailExchanger;

/// The answers of one type, by name in lower case.
type Records<T> = HashMap<String, Result<Vec<T>, Error>>;

#[derive(Clone, Default)]
pub(super) struct Zone {
    addresses: Records<String>,
    mail_exchangers: Records<MailExchanger>,
    texts: Records<Vec<u8>>,
    name_servers: Records<String>,
    names_of: Records<String>,
    /// Milliseconds.
    takes: u64,
}

/// Of whom every name is.
const ANY: &str = "*";

/// What the host answers with, where the name is its own or [`ANY`] has an answer.
macro_rules! answers {
    ($($(#[$doc:meta])* $records:ident: $record:ty;)+) => {
        impl Host {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $records(self, name: &str, answer: Result<Vec<$record>, Error>) -> Self {
                    self.with(|state| {
                        _ = state.dns.$records.insert(name.to_lowercase(), answer);
                    })
                }
            )+
        }

        $(
            pub fn $records(name: &str) -> Result<Vec<$record>, Error> {
                ask(|state| {
                    state.simple.now += state.dns.takes;
                    find(&state.dns.$records, name)
                })
            }
        )+
    };
}

answers! {
    /// The addresses of a name, as the DNS tells them. The name `*` stands for all that have no
    /// answer of their own; so it does for the other types.
    addresses: String;
    /// The MX records of a domain.
    mail_exchangers: MailExchanger;
    /// The TXT records of a name.
    texts: Vec<u8>;
    /// The name servers of a domain.
    name_servers: String;
    /// The names of an IP address.
    names_of: String;
}

impl Host {
    /// How long each question to the DNS takes, in milliseconds of its clock.
    #[must_use]
    pub fn dns_takes(self, milliseconds: u64) -> Self {
        self.with(|state| state.dns.takes = milliseconds)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the contract's function may fail")]
pub fn check() -> Result<(), Error> {
    Ok(())
}

fn find<T: Clone>(records: &Records<T>, name: &str) -> Result<Vec<T>, Error> {
    let answer = records.get(&name.to_lowercase()).or_else(|| records.get(ANY));
    answer.cloned().unwrap_or(Err(Error::NotFound))
}

#[cfg(test)]
mod tests {
    use crate::testing::Host;
    use crate::{Error, clock, dns};

    #[test]
    fn names_have_answers_and_questions_take_time() {
        let host = Host::new()
            .addresses("MX.example", Ok(vec!["192.0.2.1".to_owned()]))
            .texts("*", Err(Error::Timeout))
            .dns_takes(100);
        host.run(|| {
            assert_eq!(dns::addresses("mx.example"), Ok(vec!["192.0.2.1".to_owned()]));
            assert_eq!(dns::addresses("other.example"), Err(Error::NotFound));
            assert_eq!(dns::texts("other.example"), Err(Error::Timeout));
            assert_eq!(clock::now(), 300);
            assert_eq!(dns::check(), Ok(()));
        });
    }
}
