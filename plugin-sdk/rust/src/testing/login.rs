//! What a client brings to prove who it is.

use super::{Host, ask};

/// What a client brings.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

impl Host {
    /// The client names itself and gives its password.
    #[must_use]
    pub fn password(self, user: &str, password: &str) -> Self {
        self.with(|state| {
            state.credentials = Credentials {
                user: Some(user.into()),
                password: Some(password.into()),
                token: None,
            };
        })
    }

    /// The client gives a token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.with(|state| {
            state.credentials = Credentials { token: Some(token.into()), ..Credentials::default() };
        })
    }
}

pub mod credentials {
    use super::ask;

    pub fn mechanism() -> String {
        let token = ask(|state| state.credentials.token.is_some());
        if token { "bearer".to_owned() } else { "plain".to_owned() }
    }

    pub fn authorization() -> Option<String> {
        None
    }

    pub fn user() -> Option<String> {
        ask(|state| state.credentials.user.clone())
    }

    pub fn password() -> Option<String> {
        ask(|state| state.credentials.password.clone())
    }

    pub fn token() -> Option<String> {
        ask(|state| state.credentials.token.clone())
    }
}
