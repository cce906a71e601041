//! `credentials`: what a client brings to prove who it is.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::credentials;
use crate::contract::context::Context;
use crate::contract::subject::Subject;
use crate::credentials::Credentials;

impl Context {
    fn credentials(&self, function: &str) -> Result<&Credentials> {
        match &self.subject {
            Subject::Credentials(credentials) => Ok(credentials),
            _ => Err(self.misplaced(function, "on-authenticate")),
        }
    }
}

impl credentials::Host for Context {
    fn mechanism(&mut self) -> Result<String> {
        let mechanism = match self.credentials("credentials.mechanism")? {
            Credentials::Plain { .. } => "plain",
            Credentials::Bearer { .. } => "bearer",
        };
        Ok(mechanism.to_owned())
    }

    fn authorization(&mut self) -> Result<Option<String>> {
        let (Credentials::Plain { authorization, .. } | Credentials::Bearer { authorization, .. }) =
            self.credentials("credentials.authorization")?;
        Ok(Some(authorization).filter(|text| !text.is_empty()).cloned())
    }

    fn user(&mut self) -> Result<Option<String>> {
        Ok(match self.credentials("credentials.user")? {
            Credentials::Plain { authentication, .. } => Some(authentication.clone()),
            Credentials::Bearer { .. } => None,
        })
    }

    fn password(&mut self) -> Result<Option<String>> {
        Ok(match self.credentials("credentials.password")? {
            Credentials::Plain { password, .. } => Some(password.clone()),
            Credentials::Bearer { .. } => None,
        })
    }

    fn token(&mut self) -> Result<Option<String>> {
        Ok(match self.credentials("credentials.token")? {
            Credentials::Bearer { token, .. } => Some(token.clone()),
            Credentials::Plain { .. } => None,
        })
    }
}
