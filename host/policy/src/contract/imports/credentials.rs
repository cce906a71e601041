//! `credentials`: what a client brings to prove who it is.

use wasmtime::Result;

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

pub(crate) fn mechanism(context: &Context) -> Result<String> {
    let mechanism = match context.credentials("credentials.mechanism")? {
        Credentials::Plain { .. } => "plain",
        Credentials::Bearer { .. } => "bearer",
    };
    Ok(mechanism.to_owned())
}

pub(crate) fn authorization(context: &Context) -> Result<Option<String>> {
    let (Credentials::Plain { authorization, .. } | Credentials::Bearer { authorization, .. }) =
        context.credentials("credentials.authorization")?;
    Ok(Some(authorization).filter(|text| !text.is_empty()).cloned())
}

pub(crate) fn user(context: &Context) -> Result<Option<String>> {
    Ok(match context.credentials("credentials.user")? {
        Credentials::Plain { authentication, .. } => Some(authentication.clone()),
        Credentials::Bearer { .. } => None,
    })
}

pub(crate) fn password(context: &Context) -> Result<Option<String>> {
    Ok(match context.credentials("credentials.password")? {
        Credentials::Plain { password, .. } => Some(password.clone()),
        Credentials::Bearer { .. } => None,
    })
}

pub(crate) fn token(context: &Context) -> Result<Option<String>> {
    Ok(match context.credentials("credentials.token")? {
        Credentials::Bearer { token, .. } => Some(token.clone()),
        Credentials::Plain { .. } => None,
    })
}
