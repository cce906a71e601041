//! What makes the contract's records handy: constructors, texts, and errors that become failures.

use std::borrow::Cow;
use std::fmt;

use crate::{Error, Failure, MailAddress, Reply};

impl MailAddress {
    /// An address. An empty domain means a bare name: the host adds the operator's origin.
    pub fn new(local: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { local: local.into(), domain: domain.into() }
    }
}

impl fmt::Display for MailAddress {
    /// `local@domain`, unquoted; a bare name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local)?;
        if self.domain.is_empty() {
            return Ok(());
        }
        f.write_str("@")?;
        f.write_str(&self.domain)
    }
}

impl Reply {
    /// A reply. `status` is an enhanced code such as "5.7.1", of the same class as `code`.
    pub fn new(code: u16, status: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code, status: Some(status.into()), text: text.into() }
    }
}

impl Error {
    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout)
    }

    /// A text for the operator: what is wrong, and what to do. (`Display`, which is generated,
    /// shows the bare value.)
    pub fn explain(&self) -> Cow<'_, str> {
        match self {
            Self::NotGranted(line) => line.into(),
            Self::UnknownName(section) => {
                format!("there is nothing of this name; add {section}").into()
            }
            Self::NotFound => "it isn't there".into(),
            Self::Invalid(why) | Self::Limit(why) => why.into(),
            Self::Unavailable(why) => format!("it can't be used now: {why}").into(),
            Self::Timeout => "no answer in time".into(),
            Self::TooLarge => "it is too large".into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { transient: error.is_transient(), reason: error.explain().into_owned() }
    }
}

impl Failure {
    /// Asking again later may help.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self { transient: true, reason: reason.into() }
    }

    /// Asking again won't help: the configuration or the plugin is wrong.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { transient: false, reason: reason.into() }
    }
}

/// Names in a [`Failure`] what was being done.
pub trait During<T> {
    /// The failure, with this in front of its reason: `lookup::find("friends",
    /// &keys).during("friends")?` fails with "friends: it can't be used now".
    ///
    /// # Errors
    /// The failure that there was.
    fn during(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> During<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let failure = error.into();
            Failure { reason: format!("{what}: {}", failure.reason), ..failure }
        })
    }
}
