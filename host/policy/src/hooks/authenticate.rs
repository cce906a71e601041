//! Who a client is: the authenticate hook, its answer checked.
//!
//! The plugins of the session's chain are asked in order, each in a sandbox that is thrown away
//! with what it heard; the first that knows the login says who it is. One that can't say ends the
//! question: nobody is let in by a failure, nor refused for good. What proves a login stands in no
//! log, no trace and no error of the host's. The AUTH command, its mechanisms and its replies'
//! continuation are the caller's.

use std::borrow::Cow;
use std::sync::Arc;

use facteur_smtp::{Reply, status};

use crate::contract::checks::Broken;
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::subject::Subject;
use crate::credentials::Credentials;
use crate::dispatch::{Dispatch, Hook};
use crate::facts::SessionFacts;
use crate::plugin::Plugin;
use crate::trace::Told;

/// The longest login, in bytes: an address (RFC 5321 section 4.5.3.1) fits.
const LOGIN_LIMIT: usize = 320;
/// The longest part of what proves a login, in bytes: RFC 4954 section 4 gives a whole exchange
/// 12,288.
const CREDENTIALS_LIMIT: usize = 12_288;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authenticated {
    /// This is who it is; the session knows it from now on.
    Login(String),
    /// Nobody knows it.
    Refused,
    /// It can't be told now: nobody is let in.
    Later,
}

impl Authenticated {
    /// What the client hears (RFC 4954 section 6).
    pub fn reply(&self) -> Reply {
        match self {
            Self::Login(_) => Reply::new(235, status::SECURITY, "Authentication successful"),
            Self::Refused => {
                Reply::new(535, status::BAD_CREDENTIALS, "Authentication credentials invalid")
            }
            Self::Later => Reply::new(454, status::SECURITY, "Temporary authentication failure"),
        }
    }
}

/// A checked answer of one plugin; none: it doesn't know the login.
pub(crate) struct Login(Option<String>);

impl Told for Login {
    fn told(&self) -> Cow<'static, str> {
        self.0.as_ref().map_or("no".into(), |login| format!("login {login}").into())
    }
}

/// Whom these prove.
struct Asked(Arc<Credentials>);

impl Hook for Asked {
    type Raw = Option<String>;
    type Answer = Login;

    fn name(&self) -> HookName {
        HookName::Authenticate
    }

    fn subject(&self) -> Subject {
        Subject::Credentials(self.0.clone())
    }

    fn check(&self, _: &Plugin, _: &mut Context, login: Option<String>) -> Result<Login, Broken> {
        check(login).map_err(Broken)
    }
}

/// Asks the plugins, on behalf of this session. Once a session: who is logged in is refused (RFC
/// 4954 section 4).
pub(crate) async fn ask(
    dispatch: &Dispatch,
    session: &SessionFacts,
    credentials: Credentials,
) -> Authenticated {
    if session.login().is_some() || credentials.longest() > CREDENTIALS_LIMIT {
        return Authenticated::Refused;
    }
    let asked = Asked(Arc::new(credentials));
    for number in 0..dispatch.chain().len() {
        match dispatch.ask(number, &asked).await {
            Ok(None | Some(Login(None))) => {}
            Ok(Some(Login(Some(login)))) => {
                // Another AUTH of the same session was first: there is one login.
                let set = session.set_login(login.clone());
                return if set { Authenticated::Login(login) } else { Authenticated::Refused };
            }
            Err(_) => return Authenticated::Later,
        }
    }
    Authenticated::Refused
}

/// A login is a word for logs, headers and tables: not empty, printable, not too long.
fn check(login: Option<String>) -> Result<Login, String> {
    match &login {
        Some(text) if text.is_empty() || text.len() > LOGIN_LIMIT => {
            Err(format!("a login of {} bytes (1 to {LOGIN_LIMIT})", text.len()))
        }
        Some(text) if text.chars().any(char::is_control) => {
            Err("a login with control characters".to_owned())
        }
        _ => Ok(Login(login)),
    }
}
