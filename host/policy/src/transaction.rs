//! Policy's side of one envelope: from the first RCPT to the end of data.
//!
//! The order at RCPT: what connect, helo and mail said (asked once); the rcpt chain; relaying,
//! which the host refuses unless the chain said `allow-relay`; whether the recipient exists;
//! whether its route is a dead one; and last the kept `defer-if-permit`. Nothing but a full pass of
//! all of these accepts a recipient.

use std::sync::Arc;
use std::time::Duration;

use facteur_smtp::{Address, Path, RcptParameters, Reply, ReversePath, status};

use crate::contract::context::Scope;
use crate::contract::exports::HookName;
use crate::decision::Decision;
use crate::directory::{Directory, Inquiry};
use crate::domains::Class;
use crate::facts::{self, Actions, Consignment, EnvelopeFacts, RecipientFacts, SessionFacts};
use crate::hooks::content;
use crate::hooks::expansion::{self, Expansion, Resolved, refusal_of_all};
use crate::hooks::restriction::{self, Asked, Outcome, Settled};
use crate::hooks::transport::Route;
use crate::message::{Edited, Message};
use crate::plugin::{Chain, Plugin};
use crate::policy::Policy;
use crate::recipients::{FinalRecipient, Gathering};
use crate::trace::{Told, Trace};

/// One envelope.
pub struct Transaction {
    directory: Arc<Directory>,
    session: Arc<SessionFacts>,
    envelope: Arc<EnvelopeFacts>,
    /// What connect, helo and mail said: applies to each recipient.
    kept: Option<Settled>,
    discard: bool,
    accepted: Vec<Accepted>,
}

/// One accepted RCPT.
struct Accepted {
    address: Address,
    expansion: Arc<Expansion>,
}

/// What becomes of an accepted envelope.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Who really gets it, each once.
    pub recipients: Vec<FinalRecipient>,
    /// Another envelope sender, if a plugin gave one; none within is the null sender.
    pub sender: Option<ReversePath>,
    /// What plugins made of the message, if they changed anything.
    pub edited: Option<Edited>,
    /// What plugins want done.
    pub actions: Actions,
    /// Notes for the queue.
    pub tags: Vec<(String, String)>,
    /// Say yes, and keep nothing.
    pub discard: bool,
}

impl Transaction {
    pub(crate) fn new(
        policy: &Arc<Policy>,
        chain: Chain,
        session: Arc<SessionFacts>,
        envelope: Arc<EnvelopeFacts>,
        inquiry: Inquiry,
    ) -> Self {
        let scope = Scope::Transaction(session.clone(), envelope.clone(), None);
        let directory = Directory::new(policy, chain, scope, inquiry);
        Self { directory, session, envelope, kept: None, discard: false, accepted: Vec::new() }
    }

    /// RCPT came. The address may be bare ("postmaster"): it gets the origin.
    pub async fn rcpt(&mut self, path: Path, parameters: RcptParameters) -> Decision {
        let about = path.address.to_string();
        let decision = self.decide_rcpt(path, parameters).await;
        self.trace().host("RCPT", Some(about), decision.told());
        decision
    }

    async fn decide_rcpt(&mut self, path: Path, parameters: RcptParameters) -> Decision {
        let Path { route, address } = path;
        let domains = &self.directory.policy.domains;
        // RFC 5321 section 4.5.1: whatever the restrictions say, this host's own postmaster is
        // there to be written to.
        let is_postmaster = address.is_bare() && address.local().eq_ignore_ascii_case("postmaster");
        let address = domains.complete(address);
        let recipient =
            RecipientFacts::new(domains, address.clone(), address.clone(), !route.is_empty());
        let recipient = Arc::new(RecipientFacts { parameters, ..recipient });

        let settled = if is_postmaster {
            Settled::default()
        } else {
            match self.kept().await {
                kept if kept.is_final() => kept,
                kept => {
                    let about = Some(recipient.clone());
                    self.ask(Asked { stage: HookName::Rcpt, about }, kept).await
                }
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
                let rcpt = Some(self.accepted.len());
                let accepted = facts::Accepted { facts: recipient, rcpt };
                self.envelope.changing.lock().accepted.push(accepted);
                self.accepted.push(Accepted { address, expansion });
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
        let expansion = self.directory.expansion(recipient).await;
        if let Some(reply) = expansion.refusal() {
            return Err(reply.clone());
        }
        let mut refused = Vec::new();
        for result in &expansion.results {
            refused.push(match &result.outcome {
                expansion::Outcome::Refused(reply) | expansion::Outcome::Closed(_, reply) => {
                    Some(reply.clone())
                }
                expansion::Outcome::List(_) => None,
                expansion::Outcome::Deliver => self.dead_route(result, address).await,
            });
        }
        match refusal_of_all(refused.iter().map(Option::as_ref)) {
            Some(reply) => Err(reply.clone()),
            None => Ok(expansion),
        }
    }

    /// The reply if the route of this result is an error.
    async fn dead_route(&self, result: &Resolved, original: &Address) -> Option<Reply> {
        let tags = self.envelope.changing.lock().tags.clone();
        let of = Consignment {
            sender: self.envelope.sender.as_ref(),
            tags: &tags,
            utf8: self.envelope.parameters.smtputf8,
            address: &result.address,
            original,
        };
        match self.directory.next_hop(of).await {
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
        for stage in [HookName::Connect, HookName::Helo, HookName::Mail] {
            let asked_before = matches!(stage, HookName::Connect | HookName::Helo);
            if stage == HookName::Helo && !self.session.has_said_hello() {
                continue;
            }
            let who = |plugin: &Plugin| !(asked_before && plugin.early);
            settled = restriction::ask(&self.directory.dispatch, stage.into(), who, settled).await;
            if settled.is_final() {
                break;
            }
        }
        self.kept = Some(settled.clone());
        settled
    }

    async fn ask(&self, asked: Asked, settled: Settled) -> Settled {
        restriction::ask(&self.directory.dispatch, asked, |_| true, settled).await
    }

    /// DATA came.
    pub async fn data(&mut self) -> Decision {
        let decision = self.later_stage(HookName::Data).await;
        self.trace().host("DATA", None, decision.told());
        // While the client sends, which may take minutes, only those who will be asked again keep
        // their sandbox.
        self.directory.dispatch.retain(|plugin| plugin.wants(HookName::EndOfData));
        decision
    }

    /// The last byte came. The restrictions are asked, and then the content plugins.
    pub async fn end_of_data(&mut self, message: Message) -> Decision {
        self.directory.dispatch.show(message);
        let mut decision = self.later_stage(HookName::EndOfData).await;
        if decision == Decision::Accept && !self.discard {
            let settled = content::inspect(&self.directory.dispatch, &self.envelope).await;
            decision = self.decide(&settled);
        }
        self.trace().host("end of data", None, decision.told());
        decision
    }

    async fn later_stage(&mut self, stage: HookName) -> Decision {
        if self.discard {
            return Decision::Accept;
        }
        let settled = self.ask(stage.into(), Settled::default()).await;
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
    pub fn trace(&self) -> &Arc<Trace> {
        &self.directory.dispatch.matter.trace
    }

    /// How long plugins want the next reply to wait; the next call starts anew.
    pub fn take_delay(&self) -> Duration {
        std::mem::take(&mut self.envelope.changing.lock().actions.delay)
    }

    /// The envelope as the queue gets it: every recipient after aliases, lists opened, each address
    /// once.
    pub async fn finish(self) -> Outgoing {
        let changing = std::mem::take(&mut *self.envelope.changing.lock());
        let mut outgoing = Outgoing {
            recipients: Vec::new(),
            sender: changing.sender.map(|(sender, _)| sender),
            edited: self.directory.dispatch.edited(),
            actions: changing.actions,
            tags: changing.tags.into_inner(),
            discard: self.discard,
        };
        if outgoing.discard {
            return outgoing;
        }
        let mut gathering = Gathering::new(&self.directory.dispatch);
        if let Some(to) = outgoing.actions.redirect.clone() {
            gathering.add(to).await;
        } else {
            for one in changing.accepted {
                match one.rcpt.and_then(|rcpt| Some((rcpt, self.accepted.get(rcpt)?))) {
                    Some((rcpt, one)) => {
                        gathering.take(Some(rcpt), &one.address, &one.expansion.results).await;
                    }
                    // What no RCPT gave, a content plugin did.
                    None => gathering.add(one.facts.address.clone()).await,
                }
            }
            if gathering.is_empty() {
                return outgoing;
            }
        }
        for to in outgoing.actions.bcc.clone() {
            gathering.add(to).await;
        }
        outgoing.recipients = gathering.finish();
        outgoing
    }
}
