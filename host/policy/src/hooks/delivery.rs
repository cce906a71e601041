//! What follows from an attempt to deliver: the delivery hook, its answer checked.
//!
//! Asked by the queue after each attempt, for each recipient. Every plugin that exports `delivery`
//! is asked in file order, whatever the listener; the first that advises anything but to go on as
//! planned is followed. One that fails is passed over: what was planned is always safe. Whether
//! advice can be followed (a lifetime, a number of redirections) is the queue's to judge.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use facteur_smtp::{Address, Reply};

use crate::contract::bindings::facteur::policy::types;
use crate::contract::checks::{Broken, checked_address};
use crate::contract::context::Context;
use crate::contract::exports::HookName;
use crate::contract::subject::{Attempt, Subject};
use crate::dispatch::{Dispatch, Hook};
use crate::facts::RecipientFacts;
use crate::plugin::Plugin;
use crate::trace::Told;

/// What is known of an attempt, for one recipient.
#[derive(Debug, Clone, Copy)]
pub struct Attempted<'a> {
    /// From 1.
    pub number: u32,
    /// Who answered; none: the words are the host's.
    pub host: Option<&'a str>,
    /// What was said: 2yz, it was delivered.
    pub reply: &'a Reply,
    /// When it is planned to try again, in milliseconds since 1970; none: it isn't.
    pub next_try: Option<u64>,
}

/// What a plugin would rather have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// What the host means to do.
    AsPlanned,
    /// Another attempt, so much later.
    RetryAfter(Duration),
    /// No further attempt.
    Fail,
    /// Somebody else is to get it.
    Redirect(Address),
    /// The sender isn't told.
    NoNotification,
}

impl Told for Advice {
    fn told(&self) -> Cow<'static, str> {
        match self {
            Self::AsPlanned => "as planned".into(),
            Self::RetryAfter(time) => format!("retry after {time:?}").into(),
            Self::Fail => "fail".into(),
            Self::Redirect(address) => format!("redirect to {address}").into(),
            Self::NoNotification => "no notification".into(),
        }
    }
}

/// What follows from an attempt for this recipient.
struct Asked(Arc<RecipientFacts>, Arc<Attempt>);

impl Hook for Asked {
    type Raw = types::Advice;
    type Answer = Advice;

    fn name(&self) -> HookName {
        HookName::Delivery
    }

    fn subject(&self) -> Subject {
        Subject::Attempt(self.0.clone(), self.1.clone())
    }

    fn check(
        &self,
        _: &Plugin,
        context: &mut Context,
        raw: types::Advice,
    ) -> Result<Advice, Broken> {
        let advice = match raw {
            types::Advice::AsPlanned => Advice::AsPlanned,
            types::Advice::RetryAfter(milliseconds) => {
                Advice::RetryAfter(Duration::from_millis(milliseconds))
            }
            types::Advice::Fail => Advice::Fail,
            types::Advice::Redirect(raw) => {
                Advice::Redirect(context.domains.complete(checked_address(&raw)?))
            }
            types::Advice::NoNotification => Advice::NoNotification,
        };
        let delivered = self.1.reply.is_positive();
        if delivered && !matches!(advice, Advice::AsPlanned | Advice::NoNotification) {
            return Err(Broken(format!("advice to {} what was delivered", advice.told())));
        }
        Ok(advice)
    }
}

/// What the plugins make of an attempt.
pub(crate) async fn ask(
    dispatch: &Dispatch,
    recipient: Arc<RecipientFacts>,
    attempted: Attempted<'_>,
) -> Advice {
    let attempt = Attempt {
        number: attempted.number,
        host: attempted.host.map(str::to_owned),
        reply: attempted.reply.clone(),
        next_try: attempted.next_try,
    };
    let asked = Asked(recipient, Arc::new(attempt));
    for number in 0..dispatch.chain().len() {
        match dispatch.ask(number, &asked).await {
            // The door has logged why.
            Ok(None | Some(Advice::AsPlanned)) | Err(_) => {}
            Ok(Some(advice)) => return advice,
        }
    }
    Advice::AsPlanned
}
