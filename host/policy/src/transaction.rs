//! Policy's side of one envelope: from the first RCPT to the end of data.
//!
//! The order at RCPT: what connect, helo and mail said (asked once); the rcpt chain; relaying,
//! which the host refuses unless the chain said `allow-relay`; whether the recipient exists;
//! whether its route is a dead one; and last the kept `defer-if-permit`. Nothing but a full pass of
//! all of these accepts a recipient.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use facteur_smtp::{Address, Reply, status};

use crate::asker::{Asker, Matter};
use crate::contract::bindings::restriction::exports::facteur::policy::restriction::Stages;
use crate::domains::Class;
use crate::facts::{Actions, EnvelopeFacts, RecipientFacts, SessionFacts};
use crate::hooks::alias::{self, Expansion, Resolved, refusal_of_all};
use crate::hooks::content;
use crate::hooks::restriction::{self, Outcome, Settled, Stage};
use crate::hooks::transport::{Consignment, Route};
use crate::message::{Edited, Message};
use crate::policy::Policy;
use crate::run::Run;
use crate::session::Decision;
use crate::story::{Story, Told};

/// One envelope.
pub struct Transaction {
    asker: Arc<Asker>,
    /// What connect, helo and mail said: applies to each recipient.
    kept: Option<Settled>,
    discard: bool,
    accepted: Vec<Accepted>,
}

/// One accepted RCPT.
struct Accepted {
    /// Of the recipient, in the envelope.
    number: usize,
    address: Address,
    expansion: Arc<Expansion>,
}

/// What becomes of an accepted envelope.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Who really gets it, each once.
    pub recipients: Vec<FinalRecipient>,
    /// Another envelope sender, if a plugin gave one; none within is the null sender.
    pub sender: Option<Option<Address>>,
    /// What plugins made of the message, if they changed anything.
    pub edited: Option<Edited>,
    /// What plugins want done.
    pub actions: Actions,
    /// Notes for the queue.
    pub tags: Vec<(String, String)>,
    /// Say yes, and keep nothing.
    pub discard: bool,
}

/// One recipient after aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalRecipient {
    /// Where it goes.
    pub address: Address,
    /// As accepted at RCPT.
    pub original: Address,
    /// Which accepted RCPT it came from, from 0. None: a copy (`bcc`) or a redirection.
    pub rcpt: Option<usize>,
    /// The class of `address`.
    pub class: Class,
    /// Its own envelope sender, where it came through a list with an owner.
    pub sender: Option<Address>,
    /// The first alias of this machine that it came by.
    pub alias: Option<Address>,
    /// With 5yz: refused after all, only to be bounced. With 4yz: it couldn't be found out who gets
    /// it, and [`Policy::resolve_again`] may.
    pub refusal: Option<Reply>,
    /// The list whose members couldn't be found out, where it was one that `address` stands for.
    pub list: Option<PathBuf>,
}

impl Policy {
    /// Who really gets what the program itself sends to this address (a bounce): aliases apply,
    /// restrictions don't.
    pub async fn resolve(self: &Arc<Self>, to: Address, story: &Arc<Story>) -> Vec<FinalRecipient> {
        self.resolving(story, async |transaction, outgoing| {
            transaction.add(outgoing, &mut HashSet::new(), to).await;
        })
        .await
    }

    /// The same for a recipient with a [`FinalRecipient::refusal`] of 4yz, and for its `list`.
    pub async fn resolve_again(
        self: &Arc<Self>,
        to: Address,
        list: Option<&Path>,
        story: &Arc<Story>,
    ) -> Vec<FinalRecipient> {
        let Some(list) = list else { return self.resolve(to, story).await };
        self.resolving(story, async |transaction, outgoing| {
            let closed = Expansion::of_list(&transaction.asker, to.clone(), list).results;
            transaction.take(outgoing, &mut HashSet::new(), None, &to, &closed).await;
        })
        .await
    }

    async fn resolving(
        self: &Arc<Self>,
        story: &Arc<Story>,
        resolve: impl AsyncFnOnce(&Transaction, &mut Outgoing),
    ) -> Vec<FinalRecipient> {
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let facts = Arc::new(SessionFacts::new("internal".into(), "internal".into(), nobody, true));
        let envelope = Arc::new(EnvelopeFacts::new(&self.domains, None, false));
        let asker = Asker::new(Matter {
            policy: self.clone(),
            chain: self.chain(None),
            session: Some(facts),
            envelope: Some(envelope),
            services: self.services.clone(),
            run: Run::Live,
            story: story.clone(),
        });
        let mut outgoing = Outgoing::default();
        resolve(&Transaction::new(asker), &mut outgoing).await;
        outgoing.recipients
    }
}

impl Transaction {
    pub(crate) fn new(asker: Arc<Asker>) -> Self {
        Self { asker, kept: None, discard: false, accepted: Vec::new() }
    }

    fn envelope(&self) -> &Arc<EnvelopeFacts> {
        // A transaction's asker is made with an envelope, in `Session::begin` alone.
        self.asker
            .envelope
            .as_ref()
            .unwrap_or_else(|| unreachable!("a transaction has an envelope"))
    }

    /// RCPT came. The address may be bare ("postmaster"): it gets the origin.
    pub async fn rcpt(&mut self, address: Address, source_route: bool) -> Decision {
        let about = address.to_string();
        let decision = self.decide_rcpt(address, source_route).await;
        self.asker.story.host("RCPT", Some(about), decision.told());
        decision
    }

    async fn decide_rcpt(&mut self, address: Address, source_route: bool) -> Decision {
        let domains = &self.asker.policy.domains;
        // RFC 5321 section 4.5.1: whatever the restrictions say, this host's own postmaster is
        // there to be written to.
        let is_postmaster = address.is_bare() && address.local().eq_ignore_ascii_case("postmaster");
        let address = domains.complete(address);
        let recipient =
            RecipientFacts::new(domains, address.clone(), address.clone(), source_route);
        let number = self.envelope().add(recipient);
        let Some(recipient) = self.envelope().recipient(number) else {
            return Decision::Refuse(Reply::new(451, status::SYSTEM, "Too many recipients"));
        };

        let settled = if is_postmaster {
            Settled::default()
        } else {
            match self.kept().await {
                kept if kept.is_final() => kept,
                kept => self.ask(Stage::Rcpt(number), kept).await,
            }
        };
        match &settled.outcome {
            Outcome::Refuse(reply) => return Decision::Refuse(settled.refusal(reply.clone())),
            Outcome::Drop(reply) => return Decision::Drop(reply.clone()),
            Outcome::Discard => {
                // It goes nowhere, so that nothing more is to be asked about where.
                self.discard = true;
                return Decision::Accept;
            }
            Outcome::Open | Outcome::AllowRelay => {}
        }
        match self.admit(&recipient, settled.outcome == Outcome::AllowRelay).await {
            Err(reply) => Decision::Refuse(settled.refusal(reply)),
            Ok(expansion) => {
                if let Some(reply) = settled.defer_if_permit {
                    return Decision::Refuse(reply);
                }
                let number = number as usize;
                self.envelope().changing.lock().accepted.push(number);
                self.accepted.push(Accepted { number, address, expansion });
                Decision::Accept
            }
        }
    }

    /// The host's own checks, which no verdict skips.
    async fn admit(
        &self,
        recipient: &Arc<RecipientFacts>,
        allowed: bool,
    ) -> Result<Arc<Expansion>, Reply> {
        let address = &recipient.address;
        let relayed =
            recipient.class == Class::Other || recipient.class == Class::Relay && recipient.routed;
        if relayed && !allowed {
            return Err(Reply::new(
                554,
                status::NOT_AUTHORIZED,
                format!("<{address}>: Relay access denied"),
            ));
        }
        let expansion = self.asker.expansion(recipient).await;
        if let Some(reply) = expansion.refusal() {
            return Err(reply.clone());
        }
        let mut refused = Vec::new();
        for result in &expansion.results {
            refused.push(match &result.outcome {
                alias::Outcome::Refused(reply) | alias::Outcome::Closed(_, reply) => {
                    Some(reply.clone())
                }
                alias::Outcome::List(_) => None,
                alias::Outcome::Deliver => self.dead_route(result, address).await,
            });
        }
        match refusal_of_all(refused.iter().map(Option::as_ref)) {
            Some(reply) => Err(reply.clone()),
            None => Ok(expansion),
        }
    }

    /// The reply if the route of this result is an error.
    async fn dead_route(&self, result: &Resolved, original: &Address) -> Option<Reply> {
        let envelope = self.envelope();
        let tags = envelope.changing.lock().tags.clone();
        let consignment = Consignment {
            sender: envelope.sender.as_ref(),
            tags: &tags,
            utf8: envelope.utf8,
            address: &result.address,
            original,
        };
        match self
            .asker
            .policy
            .next_hop_with(consignment, &self.asker.services, self.asker.run, &self.asker.story)
            .await
        {
            Ok(Route::Error(reply)) => Some(Reply {
                text: format!("<{original}>: Recipient address rejected: {}", reply.text),
                ..reply
            }),
            Ok(_) => None,
            Err(later) => Some(later),
        }
    }

    async fn kept(&mut self) -> Settled {
        if let Some(kept) = &self.kept {
            return kept.clone();
        }
        let mut settled = Settled::default();
        for stage in [Stage::Connect, Stage::Helo, Stage::Mail] {
            let asked_before = matches!(stage, Stage::Connect | Stage::Helo);
            if stage == Stage::Helo
                && !self
                    .asker
                    .session
                    .as_ref()
                    .is_some_and(|session| session.hello.lock().is_some())
            {
                continue;
            }
            settled = restriction::ask(
                &self.asker,
                stage,
                |plugin| !(asked_before && plugin.early),
                settled,
            )
            .await;
            if settled.is_final() {
                break;
            }
        }
        self.kept = Some(settled.clone());
        settled
    }

    async fn ask(&self, stage: Stage, settled: Settled) -> Settled {
        restriction::ask(&self.asker, stage, |_| true, settled).await
    }

    /// DATA came.
    pub async fn data(&mut self) -> Decision {
        let decision = self.later_stage(Stage::Data).await;
        self.asker.story.host("DATA", None, decision.told());
        // While the client sends, which may take minutes, only those who will be asked again keep
        // their sandbox.
        self.asker.retain(|plugin| plugin.wants(Stages::END_OF_DATA));
        decision
    }

    /// The last byte came. The restrictions are asked, and then the content plugins.
    pub async fn end_of_data(&mut self, message: Message) -> Decision {
        self.asker.show(message);
        let mut decision = self.later_stage(Stage::EndOfData).await;
        if decision == Decision::Accept && !self.discard {
            let settled = content::inspect(&self.asker).await;
            decision = self.decide(&settled);
        }
        self.asker.story.host("end of data", None, decision.told());
        decision
    }

    async fn later_stage(&mut self, stage: Stage) -> Decision {
        if self.discard {
            return Decision::Accept;
        }
        let settled = self.ask(stage, Settled::default()).await;
        self.decide(&settled)
    }

    fn decide(&mut self, settled: &Settled) -> Decision {
        match &settled.outcome {
            Outcome::Refuse(reply) => Decision::Refuse(settled.refusal(reply.clone())),
            Outcome::Drop(reply) => Decision::Drop(reply.clone()),
            Outcome::Discard => {
                self.discard = true;
                Decision::Accept
            }
            Outcome::Open | Outcome::AllowRelay => match &settled.defer_if_permit {
                Some(reply) => Decision::Refuse(reply.clone()),
                None => Decision::Accept,
            },
        }
    }

    /// What plugins said about it, and what the host decided itself.
    pub fn story(&self) -> &Arc<Story> {
        &self.asker.story
    }

    /// How long plugins want the next reply to wait; the next call starts anew.
    pub fn take_delay(&self) -> Duration {
        std::mem::take(&mut self.envelope().changing.lock().actions.delay)
    }

    /// The envelope as the queue gets it: every recipient after aliases, lists opened, each address
    /// once.
    pub async fn finish(self) -> Outgoing {
        let changing = std::mem::take(&mut *self.envelope().changing.lock());
        let mut outgoing = Outgoing {
            recipients: Vec::new(),
            sender: changing.sender.map(|(sender, _)| sender),
            edited: self.asker.edited(),
            actions: changing.actions,
            tags: changing.tags.into_inner(),
            discard: self.discard,
        };
        if outgoing.discard {
            return outgoing;
        }
        let mut seen = HashSet::new();
        if let Some(to) = outgoing.actions.redirect.clone() {
            self.add(&mut outgoing, &mut seen, to).await;
        } else {
            for (rcpt, one) in self.accepted.iter().enumerate() {
                // A content plugin may have taken it out. Numbers grow in both lists.
                if changing.accepted.binary_search(&one.number).is_ok() {
                    self.take(
                        &mut outgoing,
                        &mut seen,
                        Some(rcpt),
                        &one.address,
                        &one.expansion.results,
                    )
                    .await;
                }
            }
            for number in changing.accepted {
                // What no RCPT gave, a content plugin did.
                if self.accepted.binary_search_by_key(&number, |one| one.number).is_err() {
                    self.add(&mut outgoing, &mut seen, changing.recipients[number].address.clone())
                        .await;
                }
            }
            if outgoing.recipients.is_empty() {
                return outgoing;
            }
        }
        for to in outgoing.actions.bcc.clone() {
            self.add(&mut outgoing, &mut seen, to).await;
        }
        outgoing
    }

    /// An address that a plugin added.
    async fn add(&self, outgoing: &mut Outgoing, seen: &mut HashSet<Address>, to: Address) {
        let to = self.asker.policy.domains.complete(to);
        let expansion = Expansion::of(&self.asker, to.clone()).await;
        self.take(outgoing, seen, None, &to, &expansion.results).await;
    }

    async fn take(
        &self,
        outgoing: &mut Outgoing,
        seen: &mut HashSet<Address>,
        rcpt: Option<usize>,
        original: &Address,
        results: &[Resolved],
    ) {
        for result in results {
            if let alias::Outcome::List(list) = &result.outcome {
                for member in &Expansion::members(&self.asker, result, list).await {
                    keep(outgoing, seen, rcpt, original, member);
                }
            } else {
                keep(outgoing, seen, rcpt, original, result);
            }
        }
    }
}

fn keep(
    outgoing: &mut Outgoing,
    seen: &mut HashSet<Address>,
    rcpt: Option<usize>,
    original: &Address,
    result: &Resolved,
) {
    let refusal = result.outcome.refusal().cloned();
    let list = match &result.outcome {
        alias::Outcome::Closed(list, _) => Some(list.path.clone()),
        _ => None,
    };
    // Several refusals may bear the alias's own address, each with its reason; deliveries are one
    // for each address, and for each mailbox.
    if refusal.is_none() && !seen.insert(result.copy()) {
        return;
    }
    outgoing.recipients.push(FinalRecipient {
        address: result.address.clone(),
        original: original.clone(),
        rcpt,
        class: result.class,
        sender: result.sender.clone(),
        alias: result.alias.clone(),
        refusal,
        list,
    });
}
