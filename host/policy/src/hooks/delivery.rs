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
use wasmtime::component::Resource;

use crate::asker::{Asker, Matter, Question};
use crate::contract::bindings::delivery::exports::facteur::policy::delivery;
use crate::contract::bindings::facteur::policy::types;
use crate::contract::bindings::{RecipientHandle, TransactionHandle};
use crate::contract::imports::checked_address;
use crate::domains::Domains;
use crate::hooks::transport::Consignment;
use crate::policy::Policy;
use crate::run::Run;
use crate::story::{Story, Told};

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

impl Policy {
    /// Whether any plugin wants to hear of attempts.
    pub fn advises(&self) -> bool {
        !self.advisers.is_empty()
    }

    /// What the plugins make of an attempt.
    pub async fn advice(
        self: &Arc<Self>,
        of: Consignment<'_>,
        attempted: Attempted<'_>,
        story: &Arc<Story>,
    ) -> Advice {
        let asker = Asker::new(Matter {
            policy: self.clone(),
            chain: self.draw(&self.advisers, of.address),
            session: None,
            envelope: Some(of.facts(&self.domains)),
            services: self.services.clone(),
            run: Run::Live,
            story: story.clone(),
        });
        for (number, plugin) in asker.chain.iter().enumerate() {
            let Some(hook) = &plugin.hooks.delivery else { continue };
            let question = Question { name: "delivery", about: Some(of.address) };
            let answer =
                asker
                    .ask(number, question, async |store, instance| {
                        let t = Resource::<TransactionHandle>::new_borrow(0);
                        let to = Resource::<RecipientHandle>::new_borrow(0);
                        match hook.after.call(store, instance, (t, to, attempted.into())).await? {
                            Ok(raw) => Ok(Ok(check(raw, &self.domains, attempted)
                                .map_err(wasmtime::Error::msg)?)),
                            Err(failure) => Ok(Err(failure)),
                        }
                    })
                    .await;
            match answer {
                // The door has logged why.
                Ok(None | Some(Advice::AsPlanned)) | Err(_) => {}
                Ok(Some(advice)) => return advice,
            }
        }
        Advice::AsPlanned
    }
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

fn check(
    raw: delivery::Advice,
    domains: &Domains,
    attempted: Attempted<'_>,
) -> Result<Advice, String> {
    let advice = match raw {
        delivery::Advice::AsPlanned => Advice::AsPlanned,
        delivery::Advice::RetryAfter(milliseconds) => {
            Advice::RetryAfter(Duration::from_millis(milliseconds))
        }
        delivery::Advice::Fail => Advice::Fail,
        delivery::Advice::Redirect(raw) => {
            Advice::Redirect(domains.complete(checked_address(&raw)?))
        }
        delivery::Advice::NoNotification => Advice::NoNotification,
    };
    let delivered = attempted.reply.is_positive();
    if delivered && !matches!(advice, Advice::AsPlanned | Advice::NoNotification) {
        return Err(format!("advice to {} what was delivered", advice.told()));
    }
    Ok(advice)
}
