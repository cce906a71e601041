//! What can be found out of recipients on behalf of one transaction: what an address stands for,
//! whether it is there, where it goes.
//!
//! Plugins may ask the same while they are asked ([`Recipients`]): such a question within a
//! question goes through the same dispatch.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use facteur_smtp::{Address, Reply};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::contract::context::{Recipients, Scope};
use crate::dispatch::{Dispatch, Matter};
use crate::facts::{Consignment, RecipientFacts};
use crate::hooks::expansion::{Expansion, Outcome};
use crate::hooks::transport::{self, Route};
use crate::plugin::Chain;
use crate::policy::Policy;
use crate::run::Run;
use crate::runtime::error::CallError;
use crate::services::{Services, Verified};
use crate::tags::Tags;
use crate::trace::Trace;

/// A dispatch, and what was found out by way of it.
pub(crate) struct Directory {
    pub policy: Arc<Policy>,
    pub dispatch: Dispatch,
    expansions: Mutex<HashMap<Address, Arc<Expansion>>>,
}

/// For whom, with what and what for.
#[derive(Clone)]
pub(crate) struct Inquiry {
    pub services: Arc<Services>,
    pub run: Run,
    pub trace: Arc<Trace>,
}

impl Directory {
    /// Asks these plugins in this place.
    pub(crate) fn new(
        policy: &Arc<Policy>,
        chain: Chain,
        scope: Scope,
        inquiry: Inquiry,
    ) -> Arc<Self> {
        let Inquiry { services, run, trace } = inquiry;
        let matter = Matter {
            runtime: policy.runtime.clone(),
            domains: policy.domains.clone(),
            chain,
            scope,
            services,
            run,
            trace,
            facts: policy.facts,
        };
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            policy: policy.clone(),
            dispatch: Dispatch::new(matter, this.clone()),
            expansions: Mutex::default(),
        })
    }
}

impl Directory {
    /// The facts of an address.
    fn facts(&self, address: Address) -> RecipientFacts {
        let address = self.policy.domains.complete(address);
        RecipientFacts::new(&self.policy.domains, address.clone(), address, false)
    }

    /// What an address really stands for: asked once, and kept.
    pub(crate) async fn expansion(&self, recipient: &RecipientFacts) -> Arc<Expansion> {
        if let Some(known) = self.expansions.lock().get(&recipient.address) {
            return known.clone();
        }
        let found = Arc::new(Expansion::of(&self.dispatch, recipient.address.clone()).await);
        self.expansions.lock().insert(recipient.address.clone(), found.clone());
        found
    }

    /// Where a recipient goes next.
    pub(crate) async fn next_hop(&self, of: Consignment<'_>) -> Result<Route, Reply> {
        let Matter { services, run, trace, .. } = &self.dispatch.matter;
        self.policy.next_hop_with(of, services, *run, trace).await
    }

    async fn verify(&self, address: Address) -> Verified {
        let recipient = self.facts(address);
        let address = &recipient.address;
        let expansion = self.expansion(&recipient).await;
        if let Some(reply) = expansion.refusal() {
            return refused(reply.clone());
        }
        let is_itself = matches!(&*expansion.results, [one]
            if one.address == *address && matches!(one.outcome, Outcome::Deliver));
        if !is_itself {
            // An alias vouches for it, as it does at RCPT.
            return Verified::Deliverable;
        }
        let utf8 = address.needs_smtputf8();
        let tags = Tags::default();
        let of = Consignment { sender: None, tags: &tags, utf8, address, original: address };
        match self.next_hop(of).await {
            Ok(Route::Smtp(route)) => {
                self.dispatch.matter.services.verify.callout(address, &route).await
            }
            Ok(Route::Maildir | Route::Discard) => Verified::Deliverable,
            Ok(Route::Error(reply)) | Err(reply) => refused(reply),
        }
    }
}

fn refused(reply: Reply) -> Verified {
    if reply.is_permanent() {
        Verified::Undeliverable(reply)
    } else {
        Verified::Unknown(reply.text)
    }
}

impl Recipients for Directory {
    fn listed<'a>(
        &'a self,
        recipient: &'a RecipientFacts,
    ) -> BoxFuture<'a, Result<bool, CallError>> {
        Box::pin(async { self.expansion(recipient).await.listed() })
    }

    fn verified(&self, address: Address) -> BoxFuture<'_, Verified> {
        Box::pin(self.verify(address))
    }
}

impl Policy {
    /// The route of one recipient.
    ///
    /// # Errors
    /// The 4yz to defer the recipient with, if a plugin couldn't say.
    pub async fn next_hop(
        self: &Arc<Self>,
        of: Consignment<'_>,
        trace: &Arc<Trace>,
    ) -> Result<Route, Reply> {
        self.next_hop_with(of, &self.services, Run::Live, trace).await
    }

    /// The same with other services, for another kind of run: then nothing is kept, and nothing
    /// that is kept is used.
    ///
    /// # Errors
    /// As [`Policy::next_hop`].
    pub async fn next_hop_with(
        self: &Arc<Self>,
        of: Consignment<'_>,
        services: &Arc<Services>,
        run: Run,
        trace: &Arc<Trace>,
    ) -> Result<Route, Reply> {
        let own_way = || transport::default_route(self.domains.class_of(of.address), of.address);
        if self.routers.is_empty() {
            return Ok(own_way());
        }
        // Read before the tables are: an answer made of a table that changes meanwhile is not kept.
        let generation = services.tables.generation();
        let known = if run.may_reuse() { self.routes.get(generation, of.address) } else { None };
        if let Some(route) = known {
            trace.host("transport", Some(of.address.to_string()), format!("{route} (kept)"));
            return Ok(route);
        }
        let directory = Directory::new(
            self,
            self.draw(&self.routers, of.address),
            Scope::Queue(of.envelope(&self.domains)),
            Inquiry { services: services.clone(), run, trace: trace.clone() },
        );
        let (route, scope) =
            transport::ask(&directory.dispatch, of.recipient(&self.domains)).await?;
        let route = route.unwrap_or_else(own_way);
        if run.may_reuse() {
            // Who is asked may depend on the recipient: then so does the answer.
            let scope = if self.is_drawing() { transport::of_recipient(scope) } else { scope };
            self.routes.put(generation, of.address, scope, &route);
        }
        Ok(route)
    }
}
