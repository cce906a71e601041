//! What makes the contract's records handy: constructors and texts.

use std::fmt;

use crate::{Address, Failure, Reply};

impl Address {
    /// An address. An empty domain means a bare name: the host adds the operator's origin.
    pub fn new(local: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { local: local.into(), domain: domain.into() }
    }
}

impl fmt::Display for Address {
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

/// What the host couldn't lend as the failure of the question: with `?`.
macro_rules! failures {
    ($($module:ident),+) => {
        $(
            impl From<crate::$module::Error> for Failure {
                fn from(error: crate::$module::Error) -> Self {
                    Self { transient: error.is_transient(), reason: error.explain().into() }
                }
            }
        )+
    };
}

failures!(connect, counters, dns, files, lookup, scanner, verify);

impl Failure {
    /// The same, with what was being done in front of it: `transport tables: it can't be asked`.
    #[must_use]
    pub fn during(self, what: impl fmt::Display) -> Self {
        Self { reason: format!("{what}: {}", self.reason), ..self }
    }

    /// Asking again later may help.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self { transient: true, reason: reason.into() }
    }

    /// Asking again won't help: the configuration or the plugin is wrong.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { transient: false, reason: reason.into() }
    }
}
