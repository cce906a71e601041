//! What follows from an attempt to deliver: the delivery hook, its answer checked.
//!
//! Asked by the queue after each attempt, for each recipient. Every plugin that exports `delivery`
//! is asked in file order, whatever the listener; the first that advises anything but to go on as
//! planned is followed. One that fails is passed over: what was planned is always safe. Whether
//! advice can be followed (a lifetime, a number of redirections) is the queue's to judge.

use std::borrow::Cow;
use std::time::Duration;

use facteur_smtp::{Address, Reply};
use wasmtime::component::{Instance, Resource};

use crate::contract::bindings::delivery::exports::facteur::policy::delivery;
use crate::contract::bindings::facteur::policy::types::{self, Failure};
use crate::contract::bindings::{RecipientHandle, TransactionHandle};
use crate::contract::checks::{Broken, checked_address};
use crate::contract::context::{Context, PluginStore};
use crate::contract::exports::{Delivery, Hooks};
use crate::dispatch::{Dispatch, Hook};
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

/// What follows from an attempt for this address.
struct Asked<'a>(&'a Address, Attempted<'a>);

impl Hook for Asked<'_> {
    type Export = Delivery;
    type Raw = delivery::Advice;
    type Answer = Advice;

    fn name(&self) -> &'static str {
        "delivery"
    }

    fn about(&self) -> Option<&Address> {
        Some(self.0)
    }

    fn of(hooks: &Hooks) -> Option<&Delivery> {
        hooks.delivery.as_ref()
    }

    async fn call(
        &self,
        hook: &Delivery,
        store: &mut PluginStore,
        instance: &Instance,
    ) -> wasmtime::Result<Result<delivery::Advice, Failure>> {
        let t = Resource::<TransactionHandle>::new_borrow(0);
        let to = Resource::<RecipientHandle>::new_borrow(0);
        hook.after.call(store, instance, (t, to, self.1.into())).await
    }

    fn check(
        &self,
        _: &Plugin,
        context: &mut Context,
        raw: delivery::Advice,
    ) -> Result<Advice, Broken> {
        let advice = match raw {
            delivery::Advice::AsPlanned => Advice::AsPlanned,
            delivery::Advice::RetryAfter(milliseconds) => {
                Advice::RetryAfter(Duration::from_millis(milliseconds))
            }
            delivery::Advice::Fail => Advice::Fail,
            delivery::Advice::Redirect(raw) => {
                Advice::Redirect(context.domains.complete(checked_address(&raw)?))
            }
            delivery::Advice::NoNotification => Advice::NoNotification,
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
    address: &Address,
    attempted: Attempted<'_>,
) -> Advice {
    for number in 0..dispatch.chain().len() {
        match dispatch.ask(number, &Asked(address, attempted)).await {
            // The door has logged why.
            Ok(None | Some(Advice::AsPlanned)) | Err(_) => {}
            Ok(Some(advice)) => return advice,
        }
    }
    Advice::AsPlanned
}

impl From<Attempted<'_>> for delivery::Attempt {
    fn from(attempted: Attempted<'_>) -> Self {
        let reply = attempted.reply;
        Self {
            number: attempted.number,
            host: attempted.host.map(str::to_owned),
            reply: types::Reply {
                code: reply.code,
                status: reply.enhanced.map(|enhanced| enhanced.to_string()),
                text: reply.text.clone(),
            },
            next_try: attempted.next_try,
        }
    }
}
